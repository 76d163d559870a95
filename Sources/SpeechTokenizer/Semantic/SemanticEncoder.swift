// The semantic tokenizer: 16 kHz samples to codes, 25 a second, in pieces of 30 s. A Whisper-style
// encoder over a 128-band log mel, then the nearest entry of one codebook. Source: FunAudioLLM's S3
// tokenizer v1 (CosyVoice, 2024), read from speech_tokenizer_v1.onnx.

import AudioSignal
import Checkpoints
import Foundation
import TensorCore

/// Turns 16 kHz samples into semantic codes.
public struct SemanticEncoder: Sendable {
    let mel: WhisperMel
    let convolutions: [Convolution1D]
    let positions: Tensor
    let blocks: [SemanticBlock]
    let codebook: Codebook
    let normEpsilon: Float

    /// Samples of a piece that is encoded on its own (30 s).
    public static let pieceSamples = 480_000
    /// Pieces of fewer samples (30 ms) give no code.
    public static let shortestPiece = 480

    /// Entries of the codebook.
    public var codeCount: Int { codebook.count }

    /// The log mel of one piece: [frames, bands].
    public func logMel(_ samples: [Float]) -> Tensor { mel.features(samples) }

    /// Codes of a recording of any length.
    public func codes(_ samples: [Float]) throws(SpeechTokenizerError) -> [Int] {
        var codes: [Int] = []
        for start in stride(from: 0, to: samples.count, by: Self.pieceSamples) {
            let piece = samples[start..<min(start + Self.pieceSamples, samples.count)]
            guard piece.count >= Self.shortestPiece else { break }
            codes += codebook.nearest(try hidden(logMel(Array(piece))))
        }
        return codes
    }

    /// Hidden rows of one piece, each of length 1: [T, width] from a log mel [frames, bands].
    func hidden(_ mel: Tensor) throws(SpeechTokenizerError) -> Tensor {
        var x = mel
        for convolution in convolutions {
            x = convolution(x, .gelu)
        }
        guard x.rows <= positions.rows else {
            throw .positionsExhausted(frames: x.rows, available: positions.rows)
        }
        x += positions.rows(0..<x.rows)
        for block in blocks {
            x = block(x)
        }
        x.normalizeRows(epsilon: normEpsilon)
        return x
    }
}

/// A pre-norm transformer block over a whole piece.
struct SemanticBlock: Sendable {
    let heads: Int
    let attentionNorm: LayerNorm
    let query, key, value, output: Linear
    let feedForwardNorm: LayerNorm
    let expansion, contraction: Linear

    /// [T, width] -> [T, width].
    func callAsFunction(_ x: Tensor) -> Tensor {
        let y = attentionNorm(x)
        let mixed = attention(
            query: query(y), key: key(y), value: value(y), heads: heads,
            scale: 1 / Float(x.columns / heads).squareRoot())
        let z = output(mixed, addedTo: x)
        return contraction(expansion(feedForwardNorm(z), .gelu), addedTo: z)
    }
}

extension Tensor {
    /// Divides every row by its Euclidean length, at least `epsilon`.
    fileprivate mutating func normalizeRows(epsilon: Float) {
        let width = columns
        for row in 0..<rows {
            let range = row * width..<(row + 1) * width
            let square = values[range].reduce(0.0) { $0 + Double($1) * Double($1) }
            let length = max(Float(square.squareRoot()), epsilon)
            for index in range {
                values[index] /= length
            }
        }
    }
}

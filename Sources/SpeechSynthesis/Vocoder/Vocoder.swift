// HiFT: a mel spectrogram becomes sound. Pitch from the mel, a harmonic source from the pitch, and a
// network that shapes the source's spectrum while it raises the frame rate; an inverse Fourier transform
// ends it. mel [T, M] -> [T * samples per frame]. Source: Li et al., "HiFTNet" (2023), CosyVoice's
// HiFTGenerator.

import Checkpoints
import Foundation
import TensorCore

/// Turns mel spectrograms into samples.
public struct Vocoder: Sendable {
    /// Sizes and rates.
    public let configuration: VocoderConfiguration
    let pitch: PitchPredictor
    let source: HarmonicSource
    let transform: ShortTimeTransform
    let input: Convolution1D
    let stages: [Stage]
    let output: Convolution1D

    /// One raising of the frame rate.
    struct Stage: Sendable {
        let upsampling: TransposedConvolution1D
        let sourceDownsampling: Convolution1D
        let sourceBlock: SnakeBlock
        let blocks: [SnakeBlock]
    }

    /// Samples a second.
    public var sampleRate: Int { configuration.sampleRate }

    /// The pitch of each frame in hertz.
    public func pitch(of mel: Tensor) -> [Float] { pitch(mel) }

    /// The source signal of a pitch curve; phases and noise as in `HarmonicSource`.
    package func source(f0: [Float], phases: [Float], noise: [Float]) -> [Float] {
        source(f0: f0, draws: .init(phases: phases, noise: noise))
    }

    /// Samples of a mel spectrogram; the source's draws come from `generator`.
    public func callAsFunction(
        _ mel: Tensor, generator: inout SeededGenerator
    ) throws(SpeechSynthesisError) -> [Float] {
        guard mel.rows > 0 else { return [] }
        let f0 = pitch(mel)
        let draws = source.draw(
            samples: f0.count * configuration.samplesPerFrame, from: &generator)
        return try samples(mel, source: source(f0: f0, draws: draws))
    }

    /// Samples of a mel spectrogram on a given source of T * samples per frame samples.
    package func samples(
        _ mel: Tensor, source: [Float]
    ) throws(SpeechSynthesisError) -> [Float] {
        let spectrum = transform.forward(source)
        var x = input(mel)
        let slope = Float(configuration.leakySlope)
        for (index, stage) in stages.enumerated() {
            x = stage.upsampling(x.applying(.leakyReLU(slope)))
            if index == stages.count - 1 {
                x = Self.reflectedLeft(x)
            }
            x += stage.sourceBlock(stage.sourceDownsampling(spectrum))
            var sum = stage.blocks[0](x)
            for block in stage.blocks.dropFirst() {
                sum += block(x)
            }
            sum.scale(by: 1 / Float(stage.blocks.count))
            x = sum
        }
        // The last activation has the framework's default slope, not the stages'.
        let raw = output(x.applying(.leakyReLU(0.01)))
        let limit = Float(configuration.audioLimit)
        let samples = transform.inverse(spectrogram(raw)).map { max(-limit, min(limit, $0)) }
        guard samples.allSatisfy(\.isFinite) else { throw .notFinite(stage: "vocoder") }
        return samples
    }

    /// Log magnitudes and phases [F, 2 bins] to real and imaginary parts.
    private func spectrogram(_ raw: Tensor) -> Tensor {
        let (bins, width) = (transform.bins, 2 * transform.bins)
        var result = Tensor(zeros: raw.shape)
        result.values.withUnsafeMutableBufferPointer { target in
            raw.values.withUnsafeBufferPointer { values in
                guard let target = target.baseAddress.map({ SharedPointer($0) }),
                    let values = values.baseAddress.map({ SharedReadPointer($0) })
                else { return }
                Parallel.forEachRange(raw.rows, grain: 64) { frames in
                    for frame in frames {
                        let (line, goal) = (
                            values.base + frame * width, target.base + frame * width
                        )
                        for bin in 0..<bins {
                            let magnitude = min(exp(line[bin]), 100)
                            let angle = sin(line[bins + bin])
                            goal[bin] = magnitude * cos(angle)
                            goal[bins + bin] = magnitude * sin(angle)
                        }
                    }
                }
            }
        }
        return result
    }

    /// One frame more on the left: a copy of the second frame.
    private static func reflectedLeft(_ x: Tensor) -> Tensor {
        let first = min(1, x.rows - 1)
        return Tensor.concatenatedRows([x.rows(first..<first + 1), x])
    }
}

/// Snake activations and dilated convolutions around an identity, one pair a dilation.
struct SnakeBlock: Sendable {
    struct Layer: Sendable {
        let firstAlpha: [Float]
        let first: Convolution1D
        let secondAlpha: [Float]
        let second: Convolution1D
    }

    let layers: [Layer]

    func callAsFunction(_ input: Tensor) -> Tensor {
        var x = input
        for layer in layers {
            var y = x
            y.applySnake(alpha: layer.firstAlpha)
            x = layer.second(layer.first(y, snake: layer.secondAlpha), addedTo: x)
        }
        return x
    }
}

/// Pitch from mel: convolutions with ELU, then one value a frame.
struct PitchPredictor: Sendable {
    let convolutions: [Convolution1D]
    let output: Linear

    /// [T, M] -> T values in hertz.
    func callAsFunction(_ mel: Tensor) -> [Float] {
        let hidden = convolutions.reduce(mel) { $1($0, .elu) }
        return output(hidden).values.map { abs($0) }
    }
}

// Step-Audio's audio tokenizer as a whole: a recording at any rate becomes two streams of codes and the
// mixed row of audio tokens. Source: stepfun-ai/Step-Audio, tokenizer.py.

import AudioSignal
import Checkpoints
import TensorCore

/// Turns recordings into audio tokens.
public struct AudioTokenizer: Sendable {
    /// 16.7 codes a second of what is said.
    public let linguistic: LinguisticEncoder
    /// 25 codes a second of how it sounds.
    public let semantic: SemanticEncoder

    /// The rate that both encoders hear.
    public static let sampleRate = 16_000

    /// Loads both encoders; throws `CheckpointError` or `SpeechTokenizerError`.
    public init(_ files: AudioTokenizerFiles, dither: Float = 0) throws {
        linguistic = try LinguisticEncoder(files, dither: dither)
        semantic = try SemanticEncoder(path: files.semanticModel)
    }

    /// The codebooks.
    public var layout: AudioTokenLayout {
        AudioTokenLayout(
            linguisticCount: linguistic.codeCount, semanticCount: semantic.codeCount)
    }

    /// Resamples to 16 kHz, brings the peak to 0.999 and, for voice prompts, trims silence.
    ///
    /// Throws when there are no samples, one is not finite, or the rate is not positive.
    public static func prepare(
        _ samples: [Float], sampleRate: Int, trim: Bool
    ) throws(SpeechTokenizerError) -> [Float] {
        guard !samples.isEmpty else { throw .emptyAudio }
        guard sampleRate > 0 else { throw .invalidSampleRate(sampleRate) }
        if let index = samples.firstIndex(where: { !$0.isFinite }) {
            throw .sampleNotFinite(index: index, value: "\(samples[index])")
        }
        let resampled = Resampler(from: sampleRate, to: Self.sampleRate).resample(samples)
        let level = Level.normalized(resampled)
        return trim ? SilenceTrim.trimmed(level) : level
    }

    /// Tokens of a mono recording; `trim` as for voice prompts.
    public func tokens(
        _ samples: [Float], sampleRate: Int, trim: Bool
    ) throws(SpeechTokenizerError) -> AudioTokens {
        let prepared = try Self.prepare(samples, sampleRate: sampleRate, trim: trim)
        return try AudioTokens(
            linguistic: linguistic.codes(prepared), semantic: semantic.codes(prepared),
            layout: layout)
    }
}

// What the controller returns.

import AudioSignal
import LanguageModelInterface

/// Spoken text.
public struct Speech: Sendable, Equatable {
    /// Mono samples in -1...1.
    public var samples: [Float]
    /// Samples a second.
    public var sampleRate: Int
    /// Audio tokens it was made from, 0-based as `<audio_N>`.
    public var tokens: [Int]
    /// What was mended in the generated tokens, in words; empty when nothing was.
    public var repairs: [String]

    /// Length in seconds.
    public var seconds: Double { Double(samples.count) / Double(max(1, sampleRate)) }

    /// The samples with their rate.
    public var clip: AudioClip { AudioClip(mono: samples, sampleRate: sampleRate) }
}

/// Speech with its timings.
public struct SpokenText: Sendable, Equatable {
    /// The speech.
    public var speech: Speech
    /// Where the time went.
    public var timings: Timings
}

/// The answer to a conversation.
public struct Answer: Sendable, Equatable {
    /// The answer as text.
    public var text: String
    /// Its token ids.
    public var tokens: [Int]
    /// Why the chat model stopped.
    public var finishReason: FinishReason
    /// The answer as speech, when it was asked for.
    public var speech: Speech?
    /// Where the time went.
    public var timings: Timings
}

/// A recording as tokens.
public struct EncodedAudio: Sendable, Equatable {
    /// `<audio_N>` tokens without separators.
    public var text: String
    /// The N of every token, interleaved 2:3.
    public var ids: [Int]
    /// Codes of the linguistic tokenizer.
    public var linguistic: [Int]
    /// Codes of the semantic tokenizer.
    public var semantic: [Int]
    /// Length of the recording in seconds.
    public var seconds: Double
    /// Where the time went.
    public var timings: Timings

    /// Throws when the recording is too short for a single group of tokens.
    package func requireTokens(of sound: Message.Sound) throws(StepAudioError) {
        guard ids.isEmpty else { return }
        throw .audioUnusable(
            source: SoundReader.name(of: sound),
            reason: "it lasts \(seconds.rounded(toPlaces: 3)) s, too short for a group of tokens "
                + "(0.2 s)")
    }
}

/// Memory figures for reports, in bytes.
public struct MemoryReport: Sendable, Equatable, Codable {
    /// Weights that are loaded.
    public var weightBytes: Int
    /// Key-value caches of the language models.
    public var cacheBytes: Int
    /// Largest resident size of the process so far.
    public var peakBytes: Int?
    /// The largest resident size over the weights' bytes.
    public var peakOverWeights: Double?

    /// Reads the process's figures.
    public init(weights: Int, caches: Int) {
        weightBytes = weights
        cacheBytes = caches
        peakBytes = ProcessMemory.peak
        peakOverWeights = peakBytes.map { Double($0) / Double(max(1, weights)) }
    }

    private enum CodingKeys: String, CodingKey {
        case weightBytes = "weight_bytes"
        case cacheBytes = "cache_bytes"
        case peakBytes = "peak_bytes"
        case peakOverWeights = "peak_over_weights"
    }
}

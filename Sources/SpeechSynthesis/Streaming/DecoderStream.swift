// Tokens that are still coming to samples: the flow's stream, then the vocoder's.

import TensorCore

/// When and how a sentence is decoded while its tokens come.
///
/// Everything counts tokens, never time: the same tokens give the same samples.
public struct StreamPace: Sendable, Equatable {
    /// Tokens that the first chunk waits for; whole groups of five.
    public var firstTokens = 20
    /// Each further chunk has this many times the tokens of the one before.
    public var growth = 2.0
    /// Largest number of new tokens of a chunk.
    public var largestTokens = 200
    /// Mel frames whose sound waits for the next chunk, because they lack what comes after them.
    public var heldFrames = 10
    /// Tokens of the sentence's past that go through the flow again with the new ones.
    public var history = 100
    /// Tokens of the voice's recording that go through the flow each time, its last ones.
    public var promptTokens = 125

    /// How close streamed speech is at least to the same tokens decoded whole: decibels of the log mel's
    /// variance over the difference.
    public static let leastMelRatio = 10.0

    /// The measured defaults.
    public init() {}

    /// The new tokens of each chunk in turn.
    package func tokens(ofChunk index: Int) -> Int {
        var size = Double(firstTokens)
        for _ in 0..<index { size *= growth }
        let groups = (min(size, Double(largestTokens)) / Double(TokenLayout.groupSize)).rounded()
        return max(1, Int(groups)) * TokenLayout.groupSize
    }
}

/// The state of one sentence in the decoder.
package struct DecoderStream: Sendable {
    private let decoder: SpeechDecoder
    private let prompt: FlowDecoder.Prompt
    private let options: FlowDecoder.Options
    private let seed: UInt64
    private var flow: FlowStream
    private var vocoder: VocoderStream
    private var isFresh = true
    /// Seconds spent so far.
    private(set) var (flowSeconds, vocoderSeconds) = (0.0, 0.0)

    package init(
        decoder: SpeechDecoder, prompt: FlowDecoder.Prompt, options: FlowDecoder.Options,
        pace: StreamPace, seed: UInt64
    ) throws {
        self.decoder = decoder
        self.prompt = prompt
        self.options = options
        self.seed = seed
        let seeds = SeededGenerator(seed: seed)
        flow = try FlowStream(
            flow: decoder.flow, prompt: prompt, options: options, pace: pace,
            noise: seeds.fork("flow"))
        vocoder = VocoderStream(vocoder: decoder.vocoder, generator: seeds.fork("vocoder"))
    }

    /// Takes more tokens, counted from `<audio_0>`, and gives the samples that they settle.
    ///
    /// A sentence that ends with its first tokens gives what decoding it whole gives.
    package mutating func append(
        _ tokens: [Int], isFinal: Bool, progress: (Int) throws -> Void = { _ in }
    ) throws -> [Float] {
        let start = ContinuousClock.now
        if isFresh, isFinal {
            let seeds = SeededGenerator(seed: seed)
            var (noise, excitation) = (seeds.fork("flow"), seeds.fork("vocoder"))
            let mel = try decoder.mel(
                tokens: tokens, prompt: prompt, options: options, generator: &noise
            ) { done, _ in try progress(done) }
            let middle = ContinuousClock.now
            flowSeconds += start.seconds(to: middle)
            defer { vocoderSeconds += middle.seconds(to: .now) }
            return try decoder.samples(mel: mel, generator: &excitation)
        }
        isFresh = false
        // What ends without new tokens ends with what was held back.
        let mel =
            tokens.isEmpty
            ? flow.held : try flow.append(tokens, isFinal: isFinal, progress: progress)
        let future = isFinal ? flow.held.rows(0..<0) : flow.held
        let middle = ContinuousClock.now
        flowSeconds += start.seconds(to: middle)
        defer { vocoderSeconds += middle.seconds(to: .now) }
        return try vocoder.append(mel, future: future)
    }
}

extension ContinuousClock.Instant {
    /// Seconds from this instant to another.
    func seconds(to other: ContinuousClock.Instant) -> Double {
        let (seconds, attoseconds) = duration(to: other).components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}

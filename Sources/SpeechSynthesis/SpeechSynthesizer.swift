// Text to speech as a whole: split, prompt the speech language model, check its tokens, decode them, join
// the parts. Source of the order of things: stepfun-ai/Step-Audio, tts.py.

import Foundation
import LanguageModelInterface
import TensorCore

/// A voice as the synthesizer needs it.
public struct Voice: Sendable {
    /// The name that the system prompt uses; empty for a cloned voice.
    public let name: String
    /// What the recording says.
    public let promptText: String
    /// What conditions the decoder, the recording's tokens included.
    public let prompt: FlowDecoder.Prompt

    /// Gathers a voice.
    public init(name: String, promptText: String, prompt: FlowDecoder.Prompt) {
        self.name = name
        self.promptText = promptText
        self.prompt = prompt
    }
}

/// How speech is generated; the defaults are the published ones.
public struct SynthesisOptions: Sendable, Equatable {
    /// How tokens are drawn.
    public var sampling = SamplingOptions(temperature: 0.7, repetitionRule: true)
    /// Largest prompt plus speech of one part, in tokens.
    public var maximumTokens = 8192
    /// How the flow is solved.
    public var flow = FlowDecoder.Options()
    /// Attempts at a part whose tokens are doubtful.
    public var attempts = 3
    /// Longest part of a text in seconds of speech.
    public var longestPart = 10.0

    /// The published settings.
    public init() {}
}

/// Stages that report progress.
public enum SynthesisStage: Sendable {
    /// The speech language model; counts tokens, without a total.
    case tokens
    /// The flow's steps.
    case flow
    /// The vocoder.
    case vocoder
}

/// Speech and how it came about.
public struct SynthesizedSpeech: Sendable {
    /// Mono samples.
    public var samples: [Float] = []
    /// Samples a second.
    public var sampleRate: Int
    /// The audio tokens of all parts, counted from `<audio_0>`.
    public var tokens: [Int] = []
    /// What was wrong with generated tokens and was repaired.
    public var findings: [TokenFinding] = []
    /// The text's parts.
    public var parts: [String] = []
    /// Seconds in the speech language model.
    public var tokenSeconds = 0.0
    /// Seconds in the flow.
    public var flowSeconds = 0.0
    /// Seconds in the vocoder.
    public var vocoderSeconds = 0.0
}

/// Speaks text.
public struct SpeechSynthesizer: Sendable {
    let engine: any LanguageModelEngine
    private let prompt: SpeechPrompt
    let layout: TokenLayout

    /// Silence between parts in seconds.
    static let pause = 0.12
    /// Fade at the parts' ends in seconds.
    static let fade = 0.01

    /// Reports a stage, what is done and, where it is known, the whole.
    public typealias Progress = @Sendable (SynthesisStage, Int, Int?) -> Void

    /// Joins an engine, its vocabulary and the codebooks.
    public init(
        engine: any LanguageModelEngine, prompt: SpeechPrompt, layout: TokenLayout
    ) {
        self.engine = engine
        self.prompt = prompt
        self.layout = layout
    }

    /// Parts whose tokens are drawn at once: one batch of the language model.
    static let partsAtOnce = 8

    /// Speaks a text, leading tags included, in one voice.
    ///
    /// The parts of a long text are generated together and decoded in order of their ends. Throws when
    /// the text is empty or the model gives no usable tokens; cancelling the task stops within one
    /// token or one step of the flow.
    public func speak(
        _ text: String, voice: Voice, decoder: SpeechDecoder, options: SynthesisOptions,
        progress: @escaping Progress = { _, _, _ in }
    ) async throws -> SynthesizedSpeech {
        let parts = SentenceSplitter(longestPart: options.longestPart).split(text)
        guard !parts.isEmpty else { throw SpeechSynthesisError.emptyText }
        let spoken = try await withThrowingTaskGroup(
            of: (Int, SynthesizedSpeech).self
        ) { group in
            var spoken = [SynthesizedSpeech?](repeating: nil, count: parts.count)
            var next = 0
            while next < parts.count || !group.isEmpty {
                if next < parts.count, next - spoken.count(where: { $0 != nil }) < Self.partsAtOnce
                {
                    let index = next
                    next += 1
                    group.addTask {
                        let speech = try await speakPart(
                            parts[index], voice: voice, decoder: decoder, options: options,
                            progress: progress)
                        return (index, speech)
                    }
                } else if let (index, speech) = try await group.next() {
                    spoken[index] = speech
                }
            }
            return spoken.compactMap(\.self)
        }
        var result = SynthesizedSpeech(sampleRate: decoder.sampleRate)
        result.parts = parts
        for part in spoken {
            result.tokens += part.tokens
            result.findings += part.findings
            result.tokenSeconds += part.tokenSeconds
            result.flowSeconds += part.flowSeconds
            result.vocoderSeconds += part.vocoderSeconds
            result.samples = Self.joined(
                result.samples, part.samples, sampleRate: decoder.sampleRate)
        }
        return result
    }

    private func speakPart(
        _ text: String, voice: Voice, decoder: SpeechDecoder, options: SynthesisOptions,
        progress: @escaping Progress
    ) async throws -> SynthesizedSpeech {
        let start = ContinuousClock.now
        let (tokens, findings) = try await tokens(
            text, voice: voice, options: options, progress: progress)
        let seconds = start.seconds(to: .now)
        var result = try await ComputeThreads.run {
            try Self.decode(
                tokens, voice: voice.prompt, decoder: decoder, flow: options.flow,
                seed: options.sampling.seed, progress: progress)
        }
        result.findings = findings
        result.tokenSeconds = seconds
        return result
    }

    /// Decodes tokens, counted from `<audio_0>`, in a voice, on the calling thread.
    public static func decode(
        _ tokens: [Int], voice: FlowDecoder.Prompt, decoder: SpeechDecoder,
        flow: FlowDecoder.Options, seed: UInt64, progress: Progress = { _, _, _ in }
    ) throws -> SynthesizedSpeech {
        var result = SynthesizedSpeech(sampleRate: decoder.sampleRate)
        result.tokens = tokens
        let start = ContinuousClock.now
        var noise = SeededGenerator(seed: seed).fork("flow")
        let mel = try decoder.mel(
            tokens: tokens, prompt: voice, options: flow, generator: &noise
        ) { progress(.flow, $0, $1) }
        let middle = ContinuousClock.now
        progress(.vocoder, 0, 1)
        var excitation = SeededGenerator(seed: seed).fork("vocoder")
        result.samples = try decoder.samples(mel: mel, generator: &excitation)
        progress(.vocoder, 1, 1)
        result.flowSeconds = start.seconds(to: middle)
        result.vocoderSeconds = middle.seconds(to: .now)
        return result
    }

    /// Checked tokens of one part; doubtful ones are drawn again from another seed.
    private func tokens(
        _ text: String, voice: Voice, options: SynthesisOptions, progress: Progress
    ) async throws -> (tokens: [Int], findings: [TokenFinding]) {
        var best: (tokens: [Int], findings: [TokenFinding])?
        let attempts = options.sampling.temperature > 0 ? max(1, options.attempts) : 1
        for attempt in 0..<attempts {
            let (drawn, endsProperly) = try await generate(
                request(text, voice: voice, attempt: attempt, options: options),
                progress: progress)
            let checked = TokenCheck.repair(drawn, layout: layout, endsProperly: endsProperly)
            let isSerious = checked.findings.contains(where: \.isSerious)
            if !checked.tokens.isEmpty, !isSerious { return checked }
            if let known = best {
                let better =
                    known.tokens.isEmpty
                    || (!checked.tokens.isEmpty && checked.findings.count < known.findings.count)
                if better { best = checked }
            } else {
                best = checked
            }
        }
        guard let best, !best.tokens.isEmpty else {
            throw SpeechSynthesisError.noUsableTokens(
                attempts: attempts,
                findings: best?.findings.map(\.description) ?? ["the speech ended at once"])
        }
        return best
    }

    /// What the language model is asked for; each attempt draws from a seed of its own.
    func request(
        _ text: String, voice: Voice, attempt: Int, options: SynthesisOptions,
        urgentTokens: Int? = nil
    ) -> GenerationRequest {
        let ids = prompt.ids(
            text: text, speaker: voice.name, promptText: voice.promptText,
            promptIDs: voice.prompt.tokens.map { $0 + layout.firstID })
        var sampling = options.sampling
        if attempt > 0 {
            var seeds = SeededGenerator(seed: sampling.seed).fork("attempt \(attempt)")
            sampling.seed = seeds.next()
        }
        // No text takes eight times as long as it is estimated, however slow its style.
        let expected = SentenceSplitter.seconds(text) * 1000 / 24
        let bound = Int(expected * 8) + 250
        let room = min(options.maximumTokens, engine.contextLength) - ids.count
        return GenerationRequest(
            prompt: ids, sampling: sampling, stopIDs: [prompt.endOfTurn],
            maximumNewTokens: max(1, min(room, bound)), candidates: layout.ids,
            urgentTokens: urgentTokens)
    }

    private func generate(
        _ request: GenerationRequest, progress: Progress
    ) async throws -> (ids: [Int], endsProperly: Bool) {
        var drawn: [Int] = []
        for try await event in engine.generate(request) {
            switch event {
            case .prefill: break
            case .token(let id):
                drawn.append(id)
                progress(.tokens, drawn.count, nil)
                // What goes round in a circle never ends; the repair cuts it.
                if TokenCheck.isRunaway(drawn) { return (drawn, true) }
            case .finished(let reason):
                return (drawn, reason == .stop)
            }
        }
        try Task.checkCancellation()
        return (drawn, false)
    }

    /// Sound behind sound with a pause in between, faded at the seam so that nothing clicks.
    package static func joined(_ left: [Float], _ right: [Float], sampleRate: Int) -> [Float] {
        guard !left.isEmpty else { return right }
        guard !right.isEmpty else { return left }
        let length = Int(fade * Double(sampleRate))
        func gain(_ index: Int) -> Float {
            0.5 - 0.5 * Float(cos(Double.pi * (Double(index) + 0.5) / Double(length)))
        }
        var (left, right) = (left, right)
        for index in 0..<min(length, left.count) {
            left[left.count - 1 - index] *= gain(index)
        }
        for index in 0..<min(length, right.count) {
            right[index] *= gain(index)
        }
        let silence = [Float](repeating: 0, count: Int(pause * Double(sampleRate)))
        return left + silence + right
    }
}

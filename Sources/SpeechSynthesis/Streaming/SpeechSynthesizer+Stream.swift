// Speech while it is being generated: sentences in order, each decoded in growing chunks while its tokens
// are still drawn; the next sentences' tokens are drawn meanwhile.

import LanguageModelInterface
import TensorCore

/// A piece of streamed speech, without what joins sentences.
public struct SynthesizedChunk: Sendable {
    /// Mono samples.
    public var samples: [Float]
    /// Which sentence they belong to, counted from 0.
    public var sentence: Int
    /// The sentence.
    public var text: String
    /// Whether the sentence ends here.
    public var endsSentence: Bool
}

extension SpeechSynthesizer {
    /// Sentences whose tokens are drawn before it is their turn.
    static let sentencesAhead = 3

    /// Speaks sentences as they come; `emit` hears the chunks in order.
    ///
    /// The result holds tokens, findings, parts and times, but no samples. Throws when a sentence gives no
    /// usable tokens; cancelling the task stops within one token or one step of the flow.
    public func stream(
        _ sentences: AsyncStream<String>, voice: Voice, decoder: SpeechDecoder,
        options: SynthesisOptions, pace: StreamPace = StreamPace(),
        progress: @escaping Progress = { _, _, _ in },
        emit: (SynthesizedChunk) async throws -> Void
    ) async throws -> SynthesizedSpeech {
        var result = SynthesizedSpeech(sampleRate: decoder.sampleRate)
        let (queue, feed) = AsyncStream<SentenceTokens>.makeStream()
        let (room, leave) = AsyncStream<Void>.makeStream()
        for _ in 0..<Self.sentencesAhead { leave.yield() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { feed.finish() }
                var room = room.makeAsyncIterator()
                for await sentence in sentences {
                    guard await room.next() != nil else { return }
                    feed.yield(sentenceTokens(sentence, voice: voice, options: options, pace: pace))
                }
            }
            for await tokens in queue {
                let index = result.parts.count
                result.parts.append(tokens.text)
                try await speak(
                    tokens, sentence: index, voice: voice, decoder: decoder, options: options,
                    pace: pace, progress: progress, into: &result, emit: emit)
                leave.yield()
            }
            try await group.waitForAll()
        }
        try Task.checkCancellation()
        guard !result.parts.isEmpty else { throw SpeechSynthesisError.emptyText }
        return result
    }

    /// Speaks one sentence.
    private func speak(
        _ sentence: SentenceTokens, sentence index: Int, voice: Voice, decoder: SpeechDecoder,
        options: SynthesisOptions, pace: StreamPace, progress: @escaping Progress,
        into result: inout SynthesizedSpeech, emit: (SynthesizedChunk) async throws -> Void
    ) async throws {
        var sentence = sentence
        var stream = try DecoderStream(
            decoder: decoder, prompt: voice.prompt, options: options.flow, pace: pace,
            seed: options.sampling.seed)
        var (taken, chunk) = (0, 0)
        var isLast = false
        while !isLast {
            let wanted = taken + pace.tokens(ofChunk: chunk)
            let start = ContinuousClock.now
            // Before anything was heard, doubtful tokens are drawn again.
            isLast = try await sentence.advance(to: wanted, mayRestart: chunk == 0) {
                progress(.tokens, $0, nil)
            }
            result.tokenSeconds += start.seconds(to: .now)
            let end = isLast ? sentence.tokens.count : wanted
            let fresh = Array(sentence.tokens[taken..<end])
            taken = end
            let before = stream
            let done = try await ComputeThreads.run(urgent: chunk + index == 0) { [isLast] in
                var stream = before
                let samples = try stream.append(fresh, isFinal: isLast) {
                    progress(.flow, $0, options.flow.steps)
                }
                return (stream, samples)
            }
            stream = done.0
            try await emit(
                SynthesizedChunk(
                    samples: done.1, sentence: index, text: sentence.text, endsSentence: isLast))
            chunk += 1
        }
        result.tokens += sentence.tokens
        result.findings += sentence.findings
        result.flowSeconds += stream.flowSeconds
        result.vocoderSeconds += stream.vocoderSeconds
    }

    private func sentenceTokens(
        _ text: String, voice: Voice, options: SynthesisOptions, pace: StreamPace
    ) -> SentenceTokens {
        SentenceTokens(
            text: text, layout: layout,
            attempts: options.sampling.temperature > 0
                ? max(1, options.attempts) : 1
        ) { attempt in
            engine.generate(
                request(
                    text, voice: voice, attempt: attempt, options: options,
                    urgentTokens: pace.firstTokens))
        }
    }
}

/// The tokens of one sentence, drawn while they are used.
struct SentenceTokens: Sendable {
    typealias Source = AsyncThrowingStream<GenerationEvent, any Error>

    let text: String
    private let layout: TokenLayout
    private let attempts: Int
    private let draw: @Sendable (Int) -> Source
    private var source: Source
    private var attempt = 0
    private var growing: GrowingTokens
    private var best: (tokens: [Int], findings: [TokenFinding])?
    /// Tokens that are ready, counted from `<audio_0>`.
    private(set) var tokens: [Int] = []
    /// What was wrong and was repaired.
    private(set) var findings: [TokenFinding] = []

    /// Starts drawing at once.
    init(
        text: String, layout: TokenLayout, attempts: Int, draw: @escaping @Sendable (Int) -> Source
    ) {
        self.text = text
        self.layout = layout
        self.attempts = attempts
        self.draw = draw
        source = draw(0)
        growing = GrowingTokens(layout: layout)
    }

    /// Draws until `count` tokens are ready; true when the sentence has ended.
    mutating func advance(
        to count: Int, mayRestart: Bool, progress: (Int) -> Void
    ) async throws -> Bool {
        while true {
            let end = try await draw(to: count, progress: progress)
            tokens = growing.tokens
            findings = growing.findings(endsProperly: end)
            let isDoubtful = tokens.isEmpty || findings.contains(where: \.isSerious)
            guard mayRestart else { return end != nil }
            if !isDoubtful { return end != nil }
            if end != nil { keepIfBetter() }
            attempt += 1
            if attempt < attempts {
                growing = GrowingTokens(layout: layout)
                source = draw(attempt)
                continue
            }
            // The last attempt: what it has is used as it comes, a better whole one before it wins.
            if let best, end != nil || best.tokens.count >= count {
                (tokens, findings) = best
                guard !tokens.isEmpty else {
                    throw SpeechSynthesisError.noUsableTokens(
                        attempts: attempts,
                        findings: findings.isEmpty
                            ? ["the speech ended at once"] : findings.map(\.description))
                }
                return true
            }
            return end != nil
        }
    }

    private mutating func keepIfBetter() {
        guard let known = best else {
            best = (tokens, findings)
            return
        }
        let isBetter =
            known.tokens.isEmpty || (!tokens.isEmpty && findings.count < known.findings.count)
        if isBetter { best = (tokens, findings) }
    }

    /// Draws until `count` tokens are ready: nil, or whether the end that came before is a proper one.
    private mutating func draw(to count: Int, progress: (Int) -> Void) async throws -> Bool? {
        guard growing.tokens.count < count else { return nil }
        for try await event in source {
            switch event {
            case .prefill: break
            case .token(let id):
                growing.append(id)
                progress(growing.ids.count)
                // What goes round in a circle never ends.
                if growing.isRunaway { return true }
                if growing.tokens.count >= count { return nil }
            case .finished(let reason):
                return reason == .stop
            }
        }
        try Task.checkCancellation()
        return false
    }
}

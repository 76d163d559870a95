// Answers to conversations: text, and speech sentence by sentence while the text is being written.

import LanguageModel
import LanguageModelInterface
import SpeechSynthesis
import Synchronization
import TensorCore

extension StepAudio {
    /// Answers a conversation, as the original's `__call__`: text, mono samples, sample rate.
    public func callAsFunction(
        _ messages: [Message], speakerID: String? = nil, speedRatio: Double = 1,
        volumeRatio: Double = 1
    ) async throws -> (text: String, samples: [Float], sampleRate: Int) {
        var options = ChatOptions()
        options.speech.speaker = speakerID
        options.speech.speedRatio = speedRatio
        options.speech.volumeRatio = volumeRatio
        let answer = try await answer(messages, options: options).answer
        return (answer.text, answer.speech?.samples ?? [], answer.speech?.sampleRate ?? 0)
    }

    /// Answers a conversation by text and, when the options ask for it, by speech.
    ///
    /// `onText` hears the answer's text piece by piece; `onSpeech` hears its speech piece by piece,
    /// each sentence spoken while the next is written. The history that comes back is the conversation with recordings
    /// replaced by their tokens.
    public func answer(
        _ messages: [Message], options: ChatOptions = ChatOptions(),
        onText: @Sendable (String) -> Void = { _ in },
        onSpeech: (@Sendable (SpeechChunk) -> Void)? = nil
    ) async throws -> (answer: Answer, history: [Message]) {
        try options.validate()
        guard messages.contains(where: { $0.content?.isEmpty == false }) else {
            throw StepAudioError.emptyInput("the conversation")
        }
        for message in messages {
            try message.style.validate(as: StepAudioError.self)
        }
        // A stream is kept as a whole by whoever reads it.
        let key =
            onSpeech == nil ? answerKey("answer", messages, options: options) : nil
        if let key, case .answer(let answer, let history) = answers.value(key) {
            onText(answer.text)
            return (answer, history)
        }
        var timings = Timings()
        var answer: Answer
        let history: [Message]
        do {
            let start = ContinuousClock.now
            let chat = try await chatModel()
            timings.load += start.secondsUntilNow
            history = try await withTokens(messages, timings: &timings)
            if options.speaks, let onSpeech {
                return (
                    try await spokenReply(
                        history, chat: chat, options: options, timings: timings, onText: onText,
                        onSpeech: onSpeech), history
                )
            }
            answer = try await reply(history, chat: chat, options: options, onText: onText)
        } catch {
            throw StepAudioError(error, stage: "the answer")
        }
        timings.chat = answer.timings.chat
        answer.timings = timings
        answer.timings.elapsed += answer.timings.chat
        guard options.speaks else {
            if let key { keep(.answer(answer, history: history), for: key) }
            return (answer, history)
        }
        try Self.requireWords(answer.text)
        let spoken = try await say(
            Self.spoken(answer.text), options: Self.speech(options, answering: messages))
        answer.speech = spoken.speech
        answer.timings += spoken.timings
        if let key { keep(.answer(answer, history: history), for: key) }
        return (answer, history)
    }

    /// The speech options with the style of the turn that is answered, unless they bring their own.
    private static func speech(
        _ options: ChatOptions, answering messages: [Message]
    ) -> SpeechOptions {
        var speech = options.speech
        if speech.style == SpeechStyle(), let asked = messages.last(where: { $0.role == "user" }) {
            speech.style = asked.style
        }
        return speech
    }

    private static func requireWords(_ text: String) throws(StepAudioError) {
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw .generationFailed(
                stage: "the answer", reason: "the chat model gave an empty answer")
        }
    }

    /// Speaks every sentence of the answer as soon as it is written, while the next is being written.
    private func spokenReply(
        _ messages: [Message], chat: ChatModel, options: ChatOptions, timings: Timings,
        onText: @Sendable (String) -> Void, onSpeech: @escaping @Sendable (SpeechChunk) -> Void
    ) async throws -> Answer {
        let (sentences, feed) = AsyncStream<String>.makeStream()
        let written = Mutex(SentenceStream())
        let speech = Self.speech(options, answering: messages)
        let start = ContinuousClock.now
        async let spoken = speak(answer: sentences, options: speech, onSpeech: onSpeech)
        var answer: Answer
        do {
            defer { feed.finish() }
            answer = try await reply(messages, chat: chat, options: options) { piece in
                onText(piece)
                for sentence in written.withLock({ $0.append(Self.spoken(piece)) }) {
                    feed.yield(sentence)
                }
            }
            try Self.requireWords(answer.text)
            for sentence in written.withLock({ $0.finish() }) { feed.yield(sentence) }
        }
        let result = try await spoken
        answer.speech = result.spoken.speech
        var sum = timings
        sum.chat = answer.timings.chat
        sum += result.spoken.timings
        sum.elapsed = timings.elapsed + start.secondsUntilNow
        sum.firstAudio = result.firstAudio.map { start.duration(to: $0) / .seconds(1) }
        answer.timings = sum
        return answer
    }

    /// Speaks an answer's sentences while they come, the voice and style as of the first one.
    private func speak(
        answer sentences: AsyncStream<String>, options: SpeechOptions,
        onSpeech: @Sendable (SpeechChunk) -> Void
    ) async throws -> (spoken: SpokenText, firstAudio: ContinuousClock.Instant?) {
        var iterator = sentences.makeAsyncIterator()
        guard let first = await iterator.next() else {
            try Task.checkCancellation()
            throw StepAudioError.emptyInput("the text to speak")
        }
        var timings = Timings()
        let job = try await speechJob(first, options: options, timings: &timings)
        let (tagged, feed) = AsyncStream<String>.makeStream()
        feed.yield(Self.tagged(first, options: options))
        var firstAudio: ContinuousClock.Instant?
        async let forwarded: Void = {
            defer { feed.finish() }
            for await sentence in sentences {
                feed.yield(Self.tagged(sentence, options: options))
            }
        }()
        let spoken = try await speak(tagged, job: job, options: options, timings: timings) {
            chunk in
            if firstAudio == nil, !chunk.samples.isEmpty { firstAudio = .now }
            onSpeech(chunk)
        }
        await forwarded
        return (spoken, firstAudio)
    }

    /// The answer as a stream of text and of spoken sentences, ended by the answer itself.
    public func stream(
        _ messages: [Message], options: ChatOptions = ChatOptions()
    ) -> AsyncThrowingStream<AnswerEvent, any Error> {
        events(
            key: answerKey("streamed answer", messages, options: options),
            known: { if case .streamedAnswer(let events) = $0 { events } else { nil } },
            keeping: { .streamedAnswer($0) },
            make: { emit in
                let result = try await self.answer(
                    messages, options: options, onText: { emit(.text($0)) },
                    onSpeech: { emit(.speech($0)) })
                emit(.finished(result.answer))
            })
    }

    private func answerKey(
        _ kind: String, _ messages: [Message], options: ChatOptions
    ) -> String? {
        let clone = options.speech.clone.map { [$0.audio] } ?? []
        return answerKey(
            kind, scope: options.cacheScope, options: "\(options)",
            speaker: options.speech.speaker, input: "\(messages)",
            sounds: messages.flatMap(\.sounds) + clone)
    }

    private func reply(
        _ messages: [Message], chat: ChatModel, options: ChatOptions,
        onText: @Sendable (String) -> Void
    ) async throws -> Answer {
        let start = ContinuousClock.now
        let prompt = chat.template.ids(Self.turns(messages))
        let request = GenerationRequest(
            prompt: prompt, sampling: options.sampling, stopIDs: [chat.template.endOfTurn],
            maximumNewTokens: options.maximumNewTokens, keepsAnswer: true)
        var decoder = StreamingTextDecoder(chat.tokenizer)
        var answer = Answer(text: "", tokens: [], finishReason: .length, timings: Timings())
        var isFinished = false
        self.options.progress("answer", 0, nil)
        for try await event in chat.engine.generate(request) {
            switch event {
            case .prefill: break
            case .token(let id):
                answer.tokens.append(id)
                let text = decoder.append(id)
                answer.text += text
                if !text.isEmpty { onText(text) }
                self.options.progress("answer", answer.tokens.count, nil)
            case .finished(let reason):
                answer.finishReason = reason
                isFinished = true
            }
        }
        try Task.checkCancellation()
        guard isFinished else { throw CancellationError() }
        let rest = decoder.finish()
        answer.text += rest
        if !rest.isEmpty { onText(rest) }
        answer.timings.chat = start.secondsUntilNow
        return answer
    }

    /// The text without what only models read: audio tokens and turn marks.
    static func spoken(_ text: String) -> String {
        text.replacing(/<audio_[0-9]+>|<\|[A-Z_]+\|>/, with: "")
    }

    /// The messages with every recording as its tokens.
    func withTokens(_ messages: [Message], timings: inout Timings) async throws -> [Message] {
        var result = messages
        for (index, message) in messages.enumerated() {
            guard let content = message.content else { continue }
            var encoded: [Message.Part] = []
            for part in content {
                encoded.append(try await withTokens(part, timings: &timings))
            }
            result[index].content = encoded
        }
        return result
    }

    private func withTokens(
        _ part: Message.Part, timings: inout Timings
    ) async throws -> Message.Part {
        guard case .audio(let sound) = part else { return part }
        if case .tokens(let text) = sound {
            let layout = try await ComputeThreads.run { [parts] in try parts.tokenizer().layout }
            _ = try layout.deinterleave(layout.parse(text))
            return part
        }
        let encoded = try await encode(sound)
        timings += encoded.timings
        try encoded.requireTokens(of: sound)
        return .audio(.tokens(encoded.text))
    }

    /// The messages as the template writes them, tags of a turn's style in front of its content.
    static func turns(_ messages: [Message]) -> [ChatTurn] {
        messages.map { message in
            var content = message.content?.compactMap { part -> ChatTurn.Content? in
                switch part {
                case .text(let text): .text(text)
                case .audio(.tokens(let tokens)): .audioTokens(tokens)
                case .audio: nil
                }
            }
            let tags = message.style.tags
            if !tags.isEmpty, content != nil {
                content?.insert(.text(tags), at: 0)
            }
            return ChatTurn(role: message.role, content: content)
        }
    }
}

extension Message {
    /// The recordings in the turn.
    fileprivate var sounds: [Sound] {
        content?.compactMap { if case .audio(let sound) = $0 { sound } else { nil } } ?? []
    }
}

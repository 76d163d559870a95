// The controller: it joins audio tokenizer, chat model and speech model. Messages in, text and speech
// out. Source: stepfun-ai/Step-Audio, stepaudio.py.

import AudioSignal
import LanguageModel
import LanguageModelInterface
import RemoteLanguageModel
import SpeechSynthesis
import SpeechTokenizer
import Synchronization
import TensorCore

/// Step-Audio on this machine.
///
/// Parts are loaded when a call first needs them, and kept. Calls queue: the models compute one request
/// at a time.
public actor StepAudio {
    /// Hears a stage, what is done and, where it is known, the whole.
    public typealias Progress = @Sendable (_ stage: String, _ completed: Int, _ total: Int?) -> Void

    /// How the system runs.
    public struct Options: Sendable {
        /// Precision of the language models' weights; nil chooses by the files and the free memory.
        public var precision: WeightPrecision?
        /// Hears what goes on.
        public var progress: Progress
        /// Where the user's own voices are.
        public var userVoices: String
        /// A server that runs the chat model instead of this process; its tokenizer.model is still
        /// read from the chat model's folder.
        public var chatServer: ModelServer?
        /// A server that runs the speech language model; the rest of speech stays here.
        public var speechServer: ModelServer?

        /// Makes options.
        public init(
            precision: WeightPrecision? = nil, progress: @escaping Progress = { _, _, _ in },
            userVoices: String = ModelLocations.userSpeakersDirectory,
            chatServer: ModelServer? = nil, speechServer: ModelServer? = nil
        ) {
            self.chatServer = chatServer
            self.speechServer = speechServer
            self.precision = precision
            self.progress = progress
            self.userVoices = userVoices
        }
    }

    /// Where the parts come from.
    public nonisolated let locations: ModelLocations
    let options: Options
    let parts: ModelParts
    private var remoteChat: ChatModel?
    private var remoteSpeech: RemoteEngine?

    /// Prepares a system; nothing is loaded yet.
    public init(locations: ModelLocations, options: Options = Options()) {
        self.locations = locations
        self.options = options
        parts = ModelParts(
            locations: locations, precision: options.precision, progress: options.progress)
    }

    /// Loads a whole system from the original's three folders.
    ///
    /// Throws `StepAudioError` when a part is missing, damaged, or does not fit in memory.
    public init(
        tokenizerPath: String, ttsPath: String, llmPath: String, options: Options = Options()
    ) async throws {
        self.init(
            locations: ModelLocations(tokenizer: tokenizerPath, tts: ttsPath, llm: llmPath),
            options: options)
        try await loadAll()
    }

    /// Loads every part now rather than when it is needed, and asks the chat server whether it is there.
    public func loadAll() async throws {
        do {
            _ = try parts.tokenizer()
            _ = try await chatModel()
            _ = try await synthesizer()
        } catch {
            throw StepAudioError(error, stage: "loading")
        }
    }

    /// What speaks, its language model in this process or behind the server.
    private func synthesizer() async throws -> SpeechSynthesizer {
        guard let server = options.speechServer else { return try parts.speech() }
        if remoteSpeech == nil {
            remoteSpeech = try await RemoteEngine(
                options: server, tokenizer: parts.speechVocabulary())
        }
        return try parts.speech(remote: remoteSpeech)
    }

    /// The chat model of this process or behind the server.
    private func chatModel() async throws -> ChatModel {
        guard let server = options.chatServer else { return try parts.chat() }
        if let remoteChat { return remoteChat }
        let tokenizer = try parts.chatVocabulary()
        let engine = try await RemoteEngine(options: server, tokenizer: tokenizer)
        let made = ChatModel(
            engine: engine, tokenizer: tokenizer, template: try ChatTemplate(tokenizer: tokenizer))
        remoteChat = made
        return made
    }

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

    /// The tokens of a recording as `<audio_N>` strings, as the original's `encode_audio`.
    public func encodeAudio(_ path: String) throws -> String {
        try encode(.file(path)).text
    }

    /// The chat prompt of a conversation, as the original's `apply_chat_template`; recordings are
    /// encoded.
    public func applyChatTemplate(_ messages: [Message]) throws -> String {
        var timings = Timings()
        return try translating("chat template") {
            let encoded = try withTokens(messages, timings: &timings)
            let template = try ChatTemplate(tokenizer: parts.chatVocabulary())
            return try template.text(turns(encoded))
        }
    }

    /// Bytes of the weights that are loaded.
    public var weightBytes: Int { parts.weightBytes }

    /// Bytes of the language models' key-value caches.
    public var cacheBytes: Int { parts.cacheBytes }

    // MARK: Recordings and tokens

    /// Encodes a recording; `trim` cuts silence off, as for voice prompts.
    public func encode(_ sound: Message.Sound, trim: Bool = false) throws -> EncodedAudio {
        var timings = Timings()
        return try translating("encoding") {
            let clip = try SoundReader.clip(of: sound)
            let tokenizer = try timings.measure(\.load) { try parts.tokenizer() }
            options.progress("encoding", 0, 1)
            let tokens = try timings.measure(\.encode) {
                try tokenizer.tokens(clip.mono(), sampleRate: clip.sampleRate, trim: trim)
            }
            options.progress("encoding", 1, 1)
            return EncodedAudio(
                text: tokens.text, ids: tokens.mixed, linguistic: tokens.linguistic,
                semantic: tokens.semantic, seconds: clip.duration, timings: timings)
        }
    }

    /// Turns `<audio_N>` strings into speech in a speaker's voice.
    public func decode(_ tokens: String, options: SpeechOptions = SpeechOptions()) throws
        -> SpokenText
    {
        try options.validate()
        var timings = Timings()
        return try translating("decoding") {
            let parts = self.parts
            let tokenizer = try timings.measure(\.load) { try parts.tokenizer() }
            let ids = try tokenizer.layout.parse(tokens)
            _ = try tokenizer.layout.deinterleave(ids)
            guard !ids.isEmpty else { throw StepAudioError.emptyInput("the token string") }
            let decoder = try timings.measure(\.load) { try parts.decoder(isMusic: false) }
            let voice = try voice(for: options, instruction: "", timings: &timings)
            let speech = try SpeechSynthesizer.decode(
                ids, voice: voice.prompt, decoder: decoder, flow: options.flow,
                seed: options.sampling.seed, progress: synthesisProgress)
            return try finished(speech, options: options, timings: &timings)
        }
    }

    // MARK: Text to speech

    /// Speaks a text.
    ///
    /// Leading tags of the text win over the options' style.
    public func say(_ text: String, options: SpeechOptions = SpeechOptions()) async throws
        -> SpokenText
    {
        try options.validate()
        try options.style.validate(as: StepAudioError.self)
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw StepAudioError.emptyInput("the text to speak")
        }
        var timings = Timings()
        let tagged = Self.tagged(text, options: options)
        let instruction = BracketTag.instruction(of: tagged)
        let isMusic = BracketTag.vocalStyles.contains(instruction)
        let synthesizer: SpeechSynthesizer
        let decoder: SpeechDecoder
        let voice: Voice
        do {
            let start = ContinuousClock.now
            synthesizer = try await self.synthesizer()
            decoder = try parts.decoder(isMusic: isMusic)
            timings.load += start.secondsUntilNow
            voice = try self.voice(
                for: options, instruction: isMusic ? instruction : "", timings: &timings)
        } catch {
            throw StepAudioError(error, stage: "loading the voice")
        }
        do {
            let speech = try await synthesizer.speak(
                tagged, voice: voice, decoder: decoder, options: options.synthesis,
                progress: synthesisProgress)
            return try finished(speech, options: options, timings: &timings)
        } catch {
            throw StepAudioError(error, stage: "speech")
        }
    }

    /// The text with the options' tags in front, unless it brings its own.
    static func tagged(_ text: String, options: SpeechOptions) -> String {
        guard BracketTag.split(text).tags.isEmpty else { return text }
        if let style = options.vocalStyle { return "(\(style))" + text }
        return options.style.tags + text
    }

    private nonisolated var synthesisProgress: SpeechSynthesizer.Progress {
        let progress = options.progress
        return { stage, completed, total in
            switch stage {
            case .tokens: progress("speech tokens", completed, total)
            case .flow: progress("flow", completed, total)
            case .vocoder: progress("vocoder", completed, total)
            }
        }
    }

    /// Applies tempo and volume and gathers the result.
    private func finished(
        _ speech: SynthesizedSpeech, options: SpeechOptions, timings: inout Timings
    ) throws -> SpokenText {
        timings.speechTokens += speech.tokenSeconds
        timings.flow += speech.flowSeconds
        timings.vocoder += speech.vocoderSeconds
        let samples = try timings.measure(\.adjust) {
            try Level.volume(
                Tempo.change(
                    speech.samples, sampleRate: speech.sampleRate, factor: options.speedRatio),
                factor: options.volumeRatio)
        }
        return SpokenText(
            speech: Speech(
                samples: samples, sampleRate: speech.sampleRate, tokens: speech.tokens,
                repairs: speech.findings.map(\.description)),
            timings: timings)
    }

    // MARK: Voices

    /// The voice that the options ask for; `instruction` names a singing style's own recording.
    private func voice(
        for options: SpeechOptions, instruction: String, timings: inout Timings
    ) throws -> Voice {
        if let clone = options.clone {
            let text = clone.text.trimmingWhitespace
            guard !text.isEmpty else {
                throw StepAudioError.emptyInput("the text of the voice to clone")
            }
            let clip = try SoundReader.clip(of: clone.audio)
            return Voice(
                name: "", promptText: text,
                prompt: try prompt(of: clip, timings: &timings))
        }
        let store = try VoiceStore(locations: locations, userDirectory: self.options.userVoices)
        let base = try store.speaker(options.speaker)
        let speaker = try instruction.isEmpty ? base : store.speaker(base.id + instruction)
        if let known = parts.voice(speaker) {
            return Voice(name: base.id, promptText: speaker.promptText, prompt: known)
        }
        let clip = try SoundReader.clip(of: .file(speaker.promptAudio))
        let prompt = try prompt(of: clip, timings: &timings)
        parts.keep(prompt, for: speaker)
        return Voice(name: base.id, promptText: speaker.promptText, prompt: prompt)
    }

    private func prompt(
        of clip: AudioClip, timings: inout Timings
    ) throws -> FlowDecoder.Prompt {
        let (tokenizer, analyzer) = try timings.measure(\.load) {
            (try parts.tokenizer(), try parts.analyzer())
        }
        return try timings.measure(\.encode) {
            let tokens = try tokenizer.tokens(clip.mono(), sampleRate: clip.sampleRate, trim: true)
            return try analyzer.prompt(clip, tokens: tokens.mixed)
        }
    }

    // MARK: Chat

    /// Answers a conversation by text and, when the options ask for it, by speech.
    ///
    /// `onText` hears the answer's text piece by piece; `onSpeech` hears its sentences, each spoken
    /// while the next is written. The history that comes back is the conversation with recordings
    /// replaced by their tokens.
    public func answer(
        _ messages: [Message], options: ChatOptions = ChatOptions(),
        onText: @Sendable (String) -> Void = { _ in },
        onSpeech: (@Sendable (Speech) -> Void)? = nil
    ) async throws -> (answer: Answer, history: [Message]) {
        try options.validate()
        guard messages.contains(where: { $0.content?.isEmpty == false }) else {
            throw StepAudioError.emptyInput("the conversation")
        }
        for message in messages {
            try message.style.validate(as: StepAudioError.self)
        }
        var timings = Timings()
        var answer: Answer
        let history: [Message]
        do {
            let start = ContinuousClock.now
            let chat = try await chatModel()
            timings.load += start.secondsUntilNow
            history = try withTokens(messages, timings: &timings)
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
        guard options.speaks else { return (answer, history) }
        try Self.requireWords(answer.text)
        let spoken = try await say(
            Self.spoken(answer.text), options: Self.speech(options, answering: messages))
        answer.speech = spoken.speech
        answer.timings += spoken.timings
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
        onText: @Sendable (String) -> Void, onSpeech: @escaping @Sendable (Speech) -> Void
    ) async throws -> Answer {
        let (sentences, feed) = AsyncStream<String>.makeStream()
        let written = Mutex(SentenceStream())
        let speech = Self.speech(options, answering: messages)
        async let spoken = speakEach(sentences, options: speech, onSpeech: onSpeech)
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
        answer.speech = result.speech
        var sum = timings
        sum.chat = answer.timings.chat
        sum += result.timings
        answer.timings = sum
        return answer
    }

    private func speakEach(
        _ sentences: AsyncStream<String>, options: SpeechOptions,
        onSpeech: @Sendable (Speech) -> Void
    ) async throws -> SpokenText {
        var whole: SpokenText?
        for await sentence in sentences {
            let part = try await say(sentence, options: options)
            onSpeech(part.speech)
            guard var known = whole else {
                whole = part
                continue
            }
            known.speech.samples = SpeechSynthesizer.joined(
                known.speech.samples, part.speech.samples, sampleRate: part.speech.sampleRate)
            known.speech.tokens += part.speech.tokens
            known.speech.repairs += part.speech.repairs
            known.timings += part.timings
            whole = known
        }
        try Task.checkCancellation()
        guard let whole else { throw StepAudioError.emptyInput("the text to speak") }
        return whole
    }

    /// The answer as a stream of text and of spoken sentences, ended by the answer itself.
    public nonisolated func stream(
        _ messages: [Message], options: ChatOptions = ChatOptions()
    ) -> AsyncThrowingStream<AnswerEvent, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    let result = try await answer(
                        messages, options: options, onText: { continuation.yield(.text($0)) },
                        onSpeech: { continuation.yield(.speech($0)) })
                    continuation.yield(.finished(result.answer))
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private func reply(
        _ messages: [Message], chat: ChatModel, options: ChatOptions,
        onText: @Sendable (String) -> Void
    ) async throws -> Answer {
        let start = ContinuousClock.now
        let prompt = chat.template.ids(try turns(messages))
        let request = GenerationRequest(
            prompt: prompt, sampling: options.sampling, stopIDs: [chat.template.endOfTurn],
            maximumNewTokens: options.maximumNewTokens)
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
    private func withTokens(_ messages: [Message], timings: inout Timings) throws -> [Message] {
        var result = messages
        for (index, message) in messages.enumerated() {
            guard let content = message.content else { continue }
            result[index].content = try content.map { part in
                guard case .audio(let sound) = part else { return part }
                if case .tokens(let text) = sound {
                    let layout = try parts.tokenizer().layout
                    _ = try layout.deinterleave(layout.parse(text))
                    return part
                }
                let encoded = try encode(sound)
                timings += encoded.timings
                guard !encoded.ids.isEmpty else {
                    throw StepAudioError.audioUnusable(
                        source: SoundReader.name(of: sound),
                        reason: "it lasts \(encoded.seconds.rounded(toPlaces: 3)) s, too short for "
                            + "a group of tokens (0.2 s)")
                }
                return .audio(.tokens(encoded.text))
            }
        }
        return result
    }

    /// The messages as the template writes them, tags of a turn's style in front of its content.
    private func turns(_ messages: [Message]) throws -> [ChatTurn] {
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

    private func translating<R>(_ stage: String, _ work: () throws -> R) throws -> R {
        do {
            return try work()
        } catch {
            throw StepAudioError(error, stage: stage)
        }
    }
}

/// What a streamed answer reports.
public enum AnswerEvent: Sendable {
    /// The next piece of the text.
    case text(String)
    /// The next sentence or two, spoken; a short pause belongs between them.
    case speech(Speech)
    /// The whole answer, its speech included; nothing follows.
    case finished(Answer)
}

extension SpeechStyle {
    /// Refuses unknown names as the controller's error.
    func validate(as type: StepAudioError.Type) throws(StepAudioError) {
        do {
            try validate()
        } catch {
            throw StepAudioError(error, stage: "speech")
        }
    }
}

extension String {
    /// Without white space at both ends.
    var trimmingWhitespace: String {
        let start = drop { $0.isWhitespace }
        return String(start.reversed().drop { $0.isWhitespace }.reversed())
    }
}

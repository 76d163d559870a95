// The controller: it joins audio tokenizer, chat model and speech model. Messages in, text and speech
// out. Source: stepfun-ai/Step-Audio, stepaudio.py. Its extensions hold one subject each: tokens,
// speech, voices, chat.

import LanguageModel
import LanguageModelInterface
import RemoteLanguageModel
import SpeechSynthesis
import Synchronization
import TensorCore

/// Step-Audio on this machine.
///
/// Parts are loaded when a call first needs them, and kept. Any number of calls may run at once: the
/// language models work on all of them in one batch, and nothing long runs on Swift's shared threads.
public final class StepAudio: Sendable {
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

        /// Where what speakers' recordings were turned into is kept between runs; nil keeps it in
        /// memory only.
        public var cacheDirectory: String?
        /// Bytes of the language models' key-value pages, for each model.
        public var keyValueBytes = 512_000_000
        /// Bytes of whole answers that calls with a `cacheScope` share.
        public var answerCacheBytes = 64_000_000

        /// Makes options.
        public init(
            precision: WeightPrecision? = nil, progress: @escaping Progress = { _, _, _ in },
            userVoices: String = ModelLocations.userSpeakersDirectory,
            chatServer: ModelServer? = nil, speechServer: ModelServer? = nil,
            cacheDirectory: String? = ModelLocations.userCacheDirectory
        ) {
            self.cacheDirectory = cacheDirectory
            self.chatServer = chatServer
            self.speechServer = speechServer
            self.precision = precision
            self.progress = progress
            self.userVoices = userVoices
        }
    }

    /// Where the parts come from.
    public let locations: ModelLocations
    let options: Options
    let parts: ModelParts
    let calls = Atomic<Int>(0)
    let voices: VoiceCache
    let answers: BoundedCache<CachedAnswer>
    private let remote: RemoteEngines

    /// Prepares a system; nothing is loaded yet.
    public init(locations: ModelLocations, options: Options = Options()) {
        self.locations = locations
        self.options = options
        remote = RemoteEngines(chat: options.chatServer, speech: options.speechServer)
        voices = VoiceCache(directory: options.cacheDirectory)
        answers = BoundedCache(limit: options.answerCacheBytes)
        parts = ModelParts(
            locations: locations, precision: options.precision,
            keyValueBytes: options.keyValueBytes, progress: options.progress)
    }

    /// Loads a whole system from the original's three folders.
    ///
    /// Throws `StepAudioError` when a part is missing, damaged, or does not fit in memory.
    public convenience init(
        tokenizerPath: String, ttsPath: String, llmPath: String, options: Options = Options()
    ) async throws {
        self.init(
            locations: ModelLocations(tokenizer: tokenizerPath, tts: ttsPath, llm: llmPath),
            options: options)
        try await loadAll()
    }

    /// Loads every part now rather than when it is needed, and asks the chat server whether it is there.
    public func loadAll() async throws {
        try await translating("loading") {
            _ = try await ComputeThreads.run { [parts] in try parts.tokenizer() }
            _ = try await chatModel()
            _ = try await synthesizer()
        }
    }

    /// What speaks, its language model in this process or behind the server.
    func synthesizer() async throws -> SpeechSynthesizer {
        let engine = try await remote.speech { [parts] in try parts.speechVocabulary() }
        return try await ComputeThreads.run { [parts] in try parts.speech(remote: engine) }
    }

    /// The chat model of this process or behind the server.
    func chatModel() async throws -> ChatModel {
        if let model = try await remote.chat(vocabulary: { [parts] in try parts.chatVocabulary() })
        {
            return model
        }
        return try await ComputeThreads.run { [parts] in try parts.chat() }
    }

    /// Bytes of the weights that are loaded.
    public var weightBytes: Int { parts.weightBytes }

    /// Bytes of the language models' key-value caches.
    public var cacheBytes: Int { parts.cacheBytes }

    /// What the system does now and has done so far.
    public func statistics() async -> Statistics {
        var result = parts.statistics
        result.speakers = voices.statistics
        result.answers = answers.statistics
        result.callsInFlight = calls.load(ordering: .relaxed)
        result.peakBytes = ProcessMemory.peak
        return result
    }

    /// Counts a call while it runs and gives its errors the form that users see.
    func translating<R>(
        _ stage: String, _ work: () async throws -> R
    ) async throws -> R {
        calls.add(1, ordering: .relaxed)
        defer { calls.subtract(1, ordering: .relaxed) }
        do {
            return try await work()
        } catch {
            throw StepAudioError(error, stage: stage)
        }
    }
}

/// The engines behind servers, connected when they are first needed.
private actor RemoteEngines {
    private let chatServer: ModelServer?
    private let speechServer: ModelServer?
    private var knownChat: ChatModel?
    private var knownSpeech: RemoteEngine?

    init(chat: ModelServer?, speech: ModelServer?) {
        chatServer = chat
        speechServer = speech
    }

    /// The chat model behind its server; nil when there is none.
    func chat(vocabulary: @Sendable () throws -> UnigramTokenizer) async throws -> ChatModel? {
        guard let chatServer else { return nil }
        if let knownChat { return knownChat }
        let tokenizer = try await ComputeThreads.run(vocabulary)
        let made = ChatModel(
            engine: try await RemoteEngine(options: chatServer, tokenizer: tokenizer),
            tokenizer: tokenizer, template: try ChatTemplate(tokenizer: tokenizer))
        knownChat = made
        return made
    }

    /// The speech language model behind its server; nil when there is none.
    func speech(vocabulary: @Sendable () throws -> UnigramTokenizer) async throws -> RemoteEngine? {
        guard let speechServer else { return nil }
        if let knownSpeech { return knownSpeech }
        let made = try await RemoteEngine(
            options: speechServer, tokenizer: ComputeThreads.run(vocabulary))
        knownSpeech = made
        return made
    }
}

extension String {
    /// Without white space at both ends.
    var trimmingWhitespace: String {
        let start = drop { $0.isWhitespace }
        return String(start.reversed().drop { $0.isWhitespace }.reversed())
    }
}

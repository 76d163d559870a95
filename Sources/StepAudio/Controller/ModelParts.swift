// The loaded parts of a system. Each is loaded once, when it is first asked for, after a check that its
// weights fit into the memory that is free.

import AudioSignal
import Checkpoints
import Foundation
import LanguageModel
import LanguageModelInterface
import SpeechSynthesis
import SpeechTokenizer
import TensorCore

/// The chat model with its vocabulary.
struct ChatModel: Sendable {
    let engine: any LanguageModelEngine
    let tokenizer: UnigramTokenizer
    let template: ChatTemplate
}

/// Loads parts and keeps them.
///
/// Whoever asks while a part is being loaded waits for it; so ask on the project's own threads.
final class ModelParts: @unchecked Sendable {
    // Sendable because everything that changes is touched under the lock only.
    private let lock = NSRecursiveLock()
    private let locations: ModelLocations
    private let layout: BundleLayout
    private let precision: WeightPrecision?
    private let keyValueBytes: Int
    private let progress: StepAudio.Progress
    private var loadedTokenizer: AudioTokenizer?
    private var loadedChat: ChatModel?
    private var loadedSpeech: (engine: EmbeddedEngine, tokenizer: UnigramTokenizer)?
    private var loadedChatEngine: EmbeddedEngine?
    private var knownSpeechVocabulary: UnigramTokenizer?
    private var knownChatVocabulary: UnigramTokenizer?
    private var loadedAnalyzer: VoiceAnalyzer?
    private var decoders: [Bool: SpeechDecoder] = [:]
    private var loadedBytes = 0

    init(
        locations: ModelLocations, precision: WeightPrecision?,
        keyValueBytes: Int = EngineLimits().cacheBytes, progress: @escaping StepAudio.Progress
    ) {
        self.locations = locations
        layout = locations.layout
        self.precision = precision
        self.keyValueBytes = keyValueBytes
        self.progress = progress
    }

    /// Bytes of the weights that are loaded.
    var weightBytes: Int { lock.withLock { loadedBytes } }

    /// Bytes of the language models' key-value caches.
    var cacheBytes: Int {
        lock.withLock {
            [loadedChatEngine, loadedSpeech?.engine].reduce(0) { $0 + ($1?.cacheBytes ?? 0) }
        }
    }

    /// Figures of the parts that are loaded.
    var statistics: Statistics {
        lock.withLock {
            var result = Statistics()
            result.chat = loadedChatEngine?.statistics
            result.speech = loadedSpeech?.engine.statistics
            result.weightBytes = loadedBytes
            return result
        }
    }

    /// The audio tokenizer.
    func tokenizer() throws -> AudioTokenizer {
        lock.lock()
        defer { lock.unlock() }
        if let loadedTokenizer { return loadedTokenizer }
        let files = try layout.audioTokenizer()
        let made = try loading("audio tokenizer", WeightSize.audioTokenizer(files), .fp32) {
            try AudioTokenizer(files)
        }
        loadedTokenizer = made
        return made
    }

    /// The chat model.
    func chat() throws -> ChatModel {
        lock.lock()
        defer { lock.unlock() }
        if let loadedChat { return loadedChat }
        _ = try layout.chatLanguageModel()  // names every missing file, not the vocabulary alone
        let tokenizer = try chatVocabulary()
        let engine = try chatEngine()
        let made = ChatModel(
            engine: engine, tokenizer: tokenizer, template: try ChatTemplate(tokenizer: tokenizer))
        loadedChat = made
        return made
    }

    /// The speech language model with its prompts, ready to speak; `remote` runs it instead of this
    /// process.
    func speech(remote: (any LanguageModelEngine)? = nil) throws -> SpeechSynthesizer {
        lock.lock()
        defer { lock.unlock() }
        let codebooks = try tokenizer().layout
        let vocabulary = try remote == nil ? speechLanguageModel().tokenizer : speechVocabulary()
        let engine = try remote ?? speechLanguageModel().engine
        guard let first = vocabulary.audioBaseID else {
            throw SpeechSynthesisError.pieceMissing("<audio_0>")
        }
        guard first + codebooks.count <= engine.vocabularySize else {
            throw LanguageModelError.vocabularyMismatch(
                tokenizer: first + codebooks.count, model: engine.vocabularySize)
        }
        let rows = try decoder(isMusic: false).tokenCount
        guard rows >= codebooks.count else {
            throw SpeechSynthesisError.vocabularyTooSmall(decoder: rows, tokens: codebooks.count)
        }
        return SpeechSynthesizer(
            engine: engine,
            prompt: try SpeechPrompt(tokenizer: vocabulary, prompts: SystemPrompts()),
            layout: TokenLayout(
                firstID: first, linguisticCount: codebooks.linguisticCount, count: codebooks.count))
    }

    /// The speech language model alone.
    func speechLanguageModel() throws -> (engine: EmbeddedEngine, tokenizer: UnigramTokenizer) {
        lock.lock()
        defer { lock.unlock() }
        if let loadedSpeech { return loadedSpeech }
        let made = try languageModel(layout.speechLanguageModel(), name: "speech model")
        loadedSpeech = made
        return made
    }

    /// The speech model's vocabulary, without its weights.
    func speechVocabulary() throws -> UnigramTokenizer {
        lock.lock()
        defer { lock.unlock() }
        if let loadedSpeech { return loadedSpeech.tokenizer }
        if let knownSpeechVocabulary { return knownSpeechVocabulary }
        let made = try UnigramTokenizer(directory: layout.speechVocabularyFolder())
        knownSpeechVocabulary = made
        return made
    }

    /// The chat model's vocabulary, without its weights.
    func chatVocabulary() throws -> UnigramTokenizer {
        lock.lock()
        defer { lock.unlock() }
        if let loadedChat { return loadedChat.tokenizer }
        if let knownChatVocabulary { return knownChatVocabulary }
        let made = try UnigramTokenizer(directory: layout.chatVocabularyFolder())
        knownChatVocabulary = made
        return made
    }

    /// The chat model's engine, whether or not its vocabulary has turn marks.
    func chatEngine() throws -> EmbeddedEngine {
        lock.lock()
        defer { lock.unlock() }
        if let loadedChatEngine { return loadedChatEngine }
        let engine = try languageModel(layout.chatLanguageModel(), name: "chat model").engine
        loadedChatEngine = engine
        return engine
    }

    /// The decoder for speech or for singing.
    func decoder(isMusic: Bool) throws -> SpeechDecoder {
        lock.lock()
        defer { lock.unlock() }
        if let known = decoders[isMusic] { return known }
        let files = try isMusic ? layout.musicDecoder() : layout.speechDecoder()
        let name = isMusic ? "music decoder" : "speech decoder"
        let made = try loading(name, WeightSize.decoder(files), .fp32) { try SpeechDecoder(files) }
        decoders[isMusic] = made
        return made
    }

    /// The front end of voice prompts; singing voices use the common one as well.
    func analyzer() throws -> VoiceAnalyzer {
        lock.lock()
        defer { lock.unlock() }
        if let loadedAnalyzer { return loadedAnalyzer }
        let files = try layout.speechDecoder()
        let made = try loading("speaker encoder", WeightSize.speakerEncoder(files), .fp32) {
            try VoiceAnalyzer(files)
        }
        loadedAnalyzer = made
        return made
    }

    /// What identifies the models that turn recordings into prompts: their files with sizes and dates.
    var voiceModels: String {
        get throws {
            let (tokenizer, decoder) = (try layout.audioTokenizer(), try layout.speechDecoder())
            return [
                tokenizer.configuration, tokenizer.normalization, tokenizer.model,
                tokenizer.linguisticCodebook, tokenizer.semanticModel, decoder.configuration,
                decoder.speakerEncoder,
            ].map(Self.fingerprint).joined(separator: "\n")
        }
    }

    /// A file by path, size and date: one that was replaced has another fingerprint.
    static func fingerprint(_ path: String) -> String {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        let date = (attributes?[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
        return "\(path) \(attributes?[.size] as? Int ?? 0) \(date)"
    }

    private func languageModel(
        _ files: LanguageModelFiles, name: String
    ) throws -> (engine: EmbeddedEngine, tokenizer: UnigramTokenizer) {
        let vocabulary = try UnigramTokenizer(directory: files.folder)
        let size = try WeightSize.languageModel(files)
        let chosen = precision ?? size.preferred(available: ProcessMemory.available)
        let model = try loading(name, size, chosen) {
            try Step1Model(directory: files.folder, precision: chosen)
        }
        guard vocabulary.vocabularySize <= model.configuration.vocabularySize else {
            throw LanguageModelError.vocabularyMismatch(
                tokenizer: vocabulary.vocabularySize, model: model.configuration.vocabularySize)
        }
        return (
            EmbeddedEngine(model, limits: EngineLimits(cacheBytes: keyValueBytes)), vocabulary
        )
    }

    /// Loads a part whose weights fit, and counts them.
    private func loading<Part>(
        _ name: String, _ size: WeightSize, _ precision: WeightPrecision, _ load: () throws -> Part
    ) throws -> Part {
        try size.check(available: ProcessMemory.available, precision: precision)
        progress("loading the \(name)", 0, nil)
        let part = try load()
        loadedBytes += size.bytes(at: precision)
        return part
    }
}

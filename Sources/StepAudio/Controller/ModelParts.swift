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

/// Loads parts and keeps them; used by one task at a time, as the controller's actor sees to.
final class ModelParts {
    private let locations: ModelLocations
    private let layout: BundleLayout
    private let precision: WeightPrecision?
    private let progress: StepAudio.Progress
    private var loadedTokenizer: AudioTokenizer?
    private var loadedChat: ChatModel?
    private var loadedSpeech: (engine: EmbeddedEngine, tokenizer: UnigramTokenizer)?
    private var loadedChatEngine: EmbeddedEngine?
    private var knownSpeechVocabulary: UnigramTokenizer?
    private var knownChatVocabulary: UnigramTokenizer?
    private var loadedAnalyzer: VoiceAnalyzer?
    private var decoders: [Bool: SpeechDecoder] = [:]
    private var voices: [String: FlowDecoder.Prompt] = [:]
    /// Bytes of the weights that are loaded.
    private(set) var weightBytes = 0

    init(
        locations: ModelLocations, precision: WeightPrecision?,
        progress: @escaping StepAudio.Progress
    ) {
        self.locations = locations
        layout = locations.layout
        self.precision = precision
        self.progress = progress
    }

    /// Bytes of the language models' key-value caches.
    var cacheBytes: Int {
        [loadedChatEngine, loadedSpeech?.engine].reduce(0) { $0 + ($1?.cacheBytes ?? 0) }
    }

    /// The audio tokenizer.
    func tokenizer() throws -> AudioTokenizer {
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
        if let loadedSpeech { return loadedSpeech }
        let made = try languageModel(layout.speechLanguageModel(), name: "speech model")
        loadedSpeech = made
        return made
    }

    /// The speech model's vocabulary, without its weights.
    func speechVocabulary() throws -> UnigramTokenizer {
        if let loadedSpeech { return loadedSpeech.tokenizer }
        if let knownSpeechVocabulary { return knownSpeechVocabulary }
        let made = try UnigramTokenizer(directory: layout.speechVocabularyFolder())
        knownSpeechVocabulary = made
        return made
    }

    /// The chat model's vocabulary, without its weights.
    func chatVocabulary() throws -> UnigramTokenizer {
        if let loadedChat { return loadedChat.tokenizer }
        if let knownChatVocabulary { return knownChatVocabulary }
        let made = try UnigramTokenizer(directory: layout.chatVocabularyFolder())
        knownChatVocabulary = made
        return made
    }

    /// The chat model's engine, whether or not its vocabulary has turn marks.
    func chatEngine() throws -> EmbeddedEngine {
        if let loadedChatEngine { return loadedChatEngine }
        let engine = try languageModel(layout.chatLanguageModel(), name: "chat model").engine
        loadedChatEngine = engine
        return engine
    }

    /// The decoder for speech or for singing.
    func decoder(isMusic: Bool) throws -> SpeechDecoder {
        if let known = decoders[isMusic] { return known }
        let files = try isMusic ? layout.musicDecoder() : layout.speechDecoder()
        let name = isMusic ? "music decoder" : "speech decoder"
        let made = try loading(name, WeightSize.decoder(files), .fp32) { try SpeechDecoder(files) }
        decoders[isMusic] = made
        return made
    }

    /// The front end of voice prompts; singing voices use the common one as well.
    func analyzer() throws -> VoiceAnalyzer {
        if let loadedAnalyzer { return loadedAnalyzer }
        let files = try layout.speechDecoder()
        let made = try loading("speaker encoder", WeightSize.speakerEncoder(files), .fp32) {
            try VoiceAnalyzer(files)
        }
        loadedAnalyzer = made
        return made
    }

    /// What a speaker's recording was turned into before.
    func voice(_ speaker: SpeakerDirectory.Speaker) -> FlowDecoder.Prompt? {
        voices[Self.key(speaker)]
    }

    /// Keeps a speaker's prompt for the next time.
    func keep(_ prompt: FlowDecoder.Prompt, for speaker: SpeakerDirectory.Speaker) {
        voices[Self.key(speaker)] = prompt
    }

    /// A recording that was replaced since has another key.
    private static func key(_ speaker: SpeakerDirectory.Speaker) -> String {
        let attributes = try? FileManager.default.attributesOfItem(atPath: speaker.promptAudio)
        let date = (attributes?[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
        return "\(speaker.promptAudio)\n\(date)"
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
        return (EmbeddedEngine(model), vocabulary)
    }

    /// Loads a part whose weights fit, and counts them.
    private func loading<Part>(
        _ name: String, _ size: WeightSize, _ precision: WeightPrecision, _ load: () throws -> Part
    ) throws -> Part {
        try size.check(available: ProcessMemory.available, precision: precision)
        progress("loading the \(name)", 0, nil)
        let part = try load()
        weightBytes += size.bytes(at: precision)
        return part
    }
}

// Where the files of a model bundle lie. A bundle is a folder in the published layout; each of its three
// models can also be given by a path of its own. A part may be absent: whoever needs it is told which
// files are missing and where they were looked for.

import Foundation

/// Finds the files of a bundle.
public struct BundleLayout: Sendable, Equatable {
    /// The bundle's folder, if one was given.
    public let models: String?
    /// The audio tokenizer's folder.
    public let tokenizer: String
    /// The speech model's folder.
    public let speech: String
    /// The chat model's folder.
    public let chat: String

    static let funASRName =
        "speech_paraformer-large_asr_nat-zh-cantonese-en-16k-vocab8501-online"

    /// A bundle's folder, and paths that replace its parts.
    ///
    /// A part without either is looked for in the working folder.
    public init(
        models: String? = nil, tokenizer: String? = nil, tts: String? = nil, llm: String? = nil
    ) {
        self.models = models.map(Self.withoutSlash)
        let root = self.models.map { $0 + "/" } ?? ""
        self.tokenizer = tokenizer.map(Self.withoutSlash) ?? root + "Step-Audio-Tokenizer"
        speech = tts.map(Self.withoutSlash) ?? root + "Step-Audio-TTS-3B"
        chat = llm.map(Self.withoutSlash) ?? root + "Step-Audio-Chat"
    }

    private static func withoutSlash(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") {
            path.removeLast()
        }
        return path
    }

    /// The audio tokenizer's files; throws when some are missing, naming each.
    public func audioTokenizer() throws -> AudioTokenizerFiles {
        let folder = funASRFolder()
        let names = try FunASRFileNames(folder: folder)
        // The two loose files lie at the tokenizer's root, which may be above what was given.
        let parent = Self.parent(folder)
        let roots = [tokenizer, Self.parent(parent), parent, folder]
        var search = FileSearch(part: "audio tokenizer")
        let files = AudioTokenizerFiles(
            linguisticCodebook: search.find(roots.map { $0 + "/linguistic_tokenizer.npy" }),
            semanticModel: search.find(roots.map { $0 + "/speech_tokenizer_v1.onnx" }),
            configuration: search.find([folder + "/" + names.configuration]),
            model: search.find([folder + "/" + names.model]),
            normalization: search.find([folder + "/" + names.normalization]))
        try search.finish()
        return files
    }

    /// The speech model's own language model (TTS).
    public func speechLanguageModel() throws -> LanguageModelFiles {
        try Self.languageModel(at: speech, part: "speech model")
    }

    /// The chat language model.
    public func chatLanguageModel() throws -> LanguageModelFiles {
        try Self.languageModel(at: chat, part: "chat model")
    }

    /// The folder of the chat model's tokenizer.model, weights or not.
    public func chatVocabularyFolder() throws -> String {
        try Self.vocabularyFolder(chat, part: "chat model's vocabulary")
    }

    /// The folder of the speech model's tokenizer.model, weights or not.
    public func speechVocabularyFolder() throws -> String {
        try Self.vocabularyFolder(speech, part: "speech model's vocabulary")
    }

    private static func vocabularyFolder(_ folder: String, part: String) throws -> String {
        var search = FileSearch(part: part)
        _ = search.find([folder + "/tokenizer.model"])
        try search.finish()
        return folder
    }

    /// The decoder for speaking.
    public func speechDecoder() throws -> DecoderFiles {
        try Self.decoder(at: speech + "/CosyVoice-300M-25Hz", part: "speech decoder")
    }

    /// The decoder for singing and rap.
    public func musicDecoder() throws -> DecoderFiles {
        try Self.decoder(at: speech + "/CosyVoice-300M-25Hz-Music", part: "music decoder")
    }

    /// The voices that come with a bundle, or lie beside or inside the speech model.
    public func speakers() throws -> SpeakerFiles {
        let folders =
            (models.map { [$0 + "/speakers"] } ?? [])
            + [Self.parent(speech) + "/speakers", speech + "/speakers"]
        var search = FileSearch(part: "speakers")
        let registry = search.find(folders.map { $0 + "/speakers_info.json" })
        try search.finish()
        return SpeakerFiles(folder: Self.parent(registry), registry: registry)
    }

    /// The folder that holds config.yaml and am.mvn: by its published name, or the tokenizer's own.
    private func funASRFolder() -> String {
        let published = tokenizer + "/dengcunqin/" + Self.funASRName
        let candidates = [published, tokenizer + "/" + Self.funASRName, tokenizer]
        return candidates.first { FileSearch.exists($0 + "/am.mvn") }
            ?? candidates.first { FileSearch.exists($0 + "/config.yaml") } ?? published
    }

    private static func languageModel(
        at folder: String, part: String
    ) throws -> LanguageModelFiles {
        var search = FileSearch(part: part)
        let configuration = search.find([folder + "/config.json"])
        let vocabulary = search.find([folder + "/tokenizer.model"])
        let shards = ((try? folderContents(folder)) ?? []).filter {
            $0.hasSuffix(".safetensors")
        }
        let index = folder + "/" + SafetensorsCheckpoint.indexName
        if shards.isEmpty, !FileSearch.exists(index) {
            _ = search.find([index, folder + "/*.safetensors"])
        }
        try search.finish()
        let settings = folder + "/tokenizer_config.json"
        return LanguageModelFiles(
            folder: folder, configuration: configuration, vocabulary: vocabulary,
            tokenizerConfiguration: FileSearch.exists(settings) ? settings : nil)
    }

    private static func decoder(at folder: String, part: String) throws -> DecoderFiles {
        var search = FileSearch(part: part)
        let files = DecoderFiles(
            folder: folder, configuration: search.find([folder + "/cosyvoice.yaml"]),
            flow: search.find([folder + "/flow.pt"]), vocoder: search.find([folder + "/hift.pt"]),
            speakerEncoder: search.find([folder + "/campplus.onnx"]))
        try search.finish()
        return files
    }

    private static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

/// Looks for files and remembers what was not there.
private struct FileSearch {
    let part: String
    private var missing: [String] = []

    init(part: String) { self.part = part }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// The first path that exists; the first of all when none does.
    mutating func find(_ paths: [String]) -> String {
        var seen: Set<String> = []
        let candidates = paths.filter { seen.insert($0).inserted }
        if let found = candidates.first(where: Self.exists) { return found }
        missing.append(contentsOf: candidates)
        return candidates.first ?? ""
    }

    func finish() throws {
        guard missing.isEmpty else {
            throw CheckpointError.missingPart(part: part, lookedFor: missing)
        }
    }
}

/// The names that configuration.json gives to the files beside it; its absence means the usual ones.
private struct FunASRFileNames {
    var configuration = "config.yaml"
    var model = "model.pt"
    var normalization = "am.mvn"

    init(folder: String) throws {
        let path = folder + "/configuration.json"
        guard FileSearch.exists(path) else { return }
        let metas = try Settings(jsonFile: path).section("file_path_metas")
        configuration = try Self.name(metas, "config", default: configuration)
        model = try Self.name(metas, "init_param", default: model)
        normalization = try Self.name(
            metas.section("frontend_conf"), "cmvn_file", default: normalization)
    }

    private static func name(
        _ settings: Settings, _ key: String, default fallback: String
    ) throws -> String {
        let name = try settings.text(key, default: fallback)
        guard !name.isEmpty, !name.hasPrefix("/"), !name.split(separator: "/").contains("..") else {
            throw settings.invalid(key, .string(name), accepted: "a name inside the folder")
        }
        return name
    }
}

// The files of each part of a bundle, all of which exist when a value is handed out.

/// The files of the audio tokenizer.
public struct AudioTokenizerFiles: Sendable, Equatable {
    /// The k-means centroids (.npy).
    public let linguisticCodebook: String
    /// The semantic tokenizer (.onnx).
    public let semanticModel: String
    /// FunASR's config.yaml.
    public let configuration: String
    /// The linguistic encoder (.pt).
    public let model: String
    /// The features' normalisation (am.mvn).
    public let normalization: String
}

/// The files of a language model.
public struct LanguageModelFiles: Sendable, Equatable {
    /// The folder with the safetensors files.
    public let folder: String
    /// config.json.
    public let configuration: String
    /// tokenizer.model.
    public let vocabulary: String
    /// tokenizer_config.json, nil when there is none.
    public let tokenizerConfiguration: String?
}

/// The files of a decoder from tokens to samples.
public struct DecoderFiles: Sendable, Equatable {
    /// The decoder's folder.
    public let folder: String
    /// cosyvoice.yaml.
    public let configuration: String
    /// flow.pt.
    public let flow: String
    /// hift.pt.
    public let vocoder: String
    /// campplus.onnx.
    public let speakerEncoder: String
}

/// The files of the registered voices.
public struct SpeakerFiles: Sendable, Equatable {
    /// The folder with the recordings, `<id>_prompt.wav`.
    public let folder: String
    /// speakers_info.json: each voice's transcript.
    public let registry: String
}

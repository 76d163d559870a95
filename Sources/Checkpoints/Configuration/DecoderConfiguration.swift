// cosyvoice.yaml as a whole: the flow, the vocoder and the mel spectrogram of the prompt. The file's other
// entries (its language model, data pipeline and random seeds) are not looked at.

import TensorCore

/// How the mel spectrogram of a prompt is made (`feat_extractor`).
public struct MelConfiguration: Sendable, Equatable {
    /// Points of the Fourier transform.
    public var fourierSize = 1024
    /// Bands.
    public var bands = 80
    /// Samples a second.
    public var sampleRate = 22_050
    /// Samples from frame to frame.
    public var hop = 256
    /// Samples of the window.
    public var window = 1024
    /// Lowest frequency of the bands in hertz.
    public var lowFrequency = 0.0
    /// Highest frequency of the bands in hertz.
    public var highFrequency = 8000.0

    /// The published values.
    public init() {}

    init(_ settings: Settings) throws {
        try settings.requireClass(["mel_spectrogram"])
        fourierSize = try settings.integer("n_fft", default: fourierSize, in: 2...65_536)
        bands = try settings.integer("num_mels", default: bands, in: 1...4096)
        sampleRate = try settings.integer("sampling_rate", default: sampleRate, in: 1000...768_000)
        hop = try settings.integer("hop_size", default: hop, in: 1...fourierSize)
        window = try settings.integer("win_size", default: window, in: 1...fourierSize)
        let limit = Double(sampleRate) / 2
        lowFrequency = try settings.number("fmin", default: lowFrequency, in: 0...limit)
        // A missing upper end means the whole spectrum in the file, the published value without it.
        let isOpen = settings.members["fmax"] == .null
        highFrequency = try settings.number(
            "fmax", default: isOpen ? limit : min(highFrequency, limit), in: 0...limit)
        guard highFrequency > lowFrequency else {
            throw settings.invalid(
                "fmax", .number(highFrequency), accepted: "more than fmin \(lowFrequency)")
        }
        try settings.require("center", false, default: false)
    }
}

/// The settings of one decoder folder.
public struct DecoderConfiguration: Sendable, Equatable {
    /// Tokens to mel.
    public var flow: FlowConfiguration
    /// Mel to samples.
    public var vocoder: VocoderConfiguration
    /// Prompt to mel.
    public var mel: MelConfiguration

    /// The published values.
    public init() {
        flow = FlowConfiguration()
        vocoder = VocoderConfiguration()
        mel = MelConfiguration()
    }

    /// Reads a cosyvoice.yaml; throws `CheckpointError`.
    public init(path: String) throws {
        let file = try HyperPyYAML(path: path)
        func section(_ key: String) throws -> Settings {
            guard let value = try file.value(key) else {
                throw CheckpointError.malformed(
                    path: path, format: "HyperPyYAML", reason: "it has no \(key)")
            }
            return try Settings(path: path, [key: value]).section(key)
        }
        flow = try FlowConfiguration(section("flow"))
        vocoder = try VocoderConfiguration(section("hift"))
        mel = try MelConfiguration(section("feat_extractor"))
        guard vocoder.inputChannels == flow.outputSize, mel.bands == flow.outputSize else {
            throw CheckpointError.malformed(
                path: path, format: "HyperPyYAML",
                reason:
                    "the flow makes \(flow.outputSize) bands, the prompt's mel has \(mel.bands) "
                    + "and the vocoder takes \(vocoder.inputChannels)")
        }
        guard mel.hop == vocoder.samplesPerFrame, mel.sampleRate == vocoder.sampleRate else {
            throw CheckpointError.malformed(
                path: path, format: "HyperPyYAML",
                reason: "a mel frame has \(mel.hop) samples at \(mel.sampleRate) Hz, the vocoder "
                    + "makes \(vocoder.samplesPerFrame) at \(vocoder.sampleRate) Hz")
        }
    }
}

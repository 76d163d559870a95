// From audio tokens to sound: flow, then vocoder; and from a voice's recording to what conditions them.

import AudioSignal
import Checkpoints
import TensorCore

/// Turns audio tokens into samples in the voice of a prompt.
public struct SpeechDecoder: Sendable {
    /// Tokens to mel.
    public let flow: FlowDecoder
    /// Mel to samples.
    public let vocoder: Vocoder

    /// Loads a decoder folder; throws `CheckpointError` or `SpeechSynthesisError`.
    public init(_ files: DecoderFiles) throws {
        let configuration = try DecoderConfiguration(path: files.configuration)
        flow = try FlowDecoder(PyTorchArchive(path: files.flow), configuration: configuration)
        vocoder = try Vocoder(
            PyTorchArchive(path: files.vocoder), configuration: configuration.vocoder)
    }

    /// Samples a second.
    public var sampleRate: Int { vocoder.sampleRate }
    /// Rows of the token table.
    public var tokenCount: Int { flow.embedding.outputs }

    /// Tokens that the flow takes at once, 30 s; its attention grows with the square of them.
    static let longestPiece = 250 * TokenLayout.groupSize
    /// Tokens that neighbouring pieces share, 1.2 s, over which their mels are mixed.
    static let overlap = 10 * TokenLayout.groupSize

    /// The mel spectrogram of tokens: [T, M].
    ///
    /// Long rows of tokens go through in overlapping pieces.
    /// The noise comes from `generator`; `progress` hears steps done and steps in all.
    public func mel(
        tokens: [Int], prompt: FlowDecoder.Prompt, options: FlowDecoder.Options,
        generator: inout SeededGenerator, progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> Tensor {
        let starts = Self.pieceStarts(count: tokens.count)
        var result = Tensor(zeros: [0, flow.configuration.outputSize])
        for (index, start) in starts.enumerated() {
            let piece = Array(tokens[start..<min(start + Self.longestPiece, tokens.count)])
            let promptFrames = prompt.tokens.isEmpty ? 0 : prompt.mel.rows
            let frames = promptFrames + flow.frameCount(tokens: piece.count)
            let bands = flow.configuration.outputSize
            let noise = Tensor(shape: [frames, bands], values: generator.normals(frames * bands))
            let part = try flow.mel(
                tokens: piece, prompt: prompt, noise: noise, options: options
            ) { try progress(index * options.steps + $0, starts.count * options.steps) }
            let first = flow.frameCount(tokens: start)
            result = Self.mixed(result, part, from: min(first, result.rows))
        }
        return result
    }

    /// Samples of tokens, T * samples per frame of them.
    public func samples(
        mel: Tensor, generator: inout SeededGenerator
    ) throws(SpeechSynthesisError) -> [Float] {
        try vocoder(mel, generator: &generator)
    }

    private static func pieceStarts(count: Int) -> [Int] {
        guard count > longestPiece else { return [0] }
        return Array(stride(from: 0, to: count - overlap, by: longestPiece - overlap))
    }

    /// Lays a piece over the frames from `first` on, fading over what both have.
    private static func mixed(_ left: Tensor, _ right: Tensor, from first: Int) -> Tensor {
        let shared = min(left.rows - first, right.rows)
        guard shared > 0 else { return Tensor.concatenatedRows([left, right]) }
        var result = left
        let columns = left.columns
        for row in 0..<shared {
            let share = (Float(row) + 0.5) / Float(shared)
            for column in 0..<columns {
                let place = (first + row) * columns + column
                result.values[place] =
                    (1 - share) * result.values[place] + share
                    * right.values[row * columns + column]
            }
        }
        return Tensor.concatenatedRows([result, right.rows(shared..<right.rows)])
    }
}

/// Makes the conditioning of a voice from its recording.
public struct VoiceAnalyzer: Sendable {
    let mel: PromptMel
    let speaker: SpeakerEncoder

    /// The rate that the speaker encoder hears.
    public static let speakerRate = 16_000

    /// Loads the front end of a decoder folder; throws `CheckpointError` or `SpeechSynthesisError`.
    public init(_ files: DecoderFiles) throws {
        let configuration = try DecoderConfiguration(path: files.configuration)
        var settings = MelSettings()
        settings.points = configuration.mel.fourierSize
        settings.melCount = configuration.mel.bands
        settings.sampleRate = configuration.mel.sampleRate
        settings.hop = configuration.mel.hop
        settings.window = configuration.mel.window
        settings.low = configuration.mel.lowFrequency
        settings.high = configuration.mel.highFrequency
        mel = PromptMel(settings)
        speaker = try SpeakerEncoder(path: files.speakerEncoder)
        guard speaker.width == configuration.flow.speakerEmbeddingSize else {
            throw SpeechSynthesisError.unusableSetting(
                file: files.configuration, key: "flow.spk_embed_dim",
                value: "\(configuration.flow.speakerEmbeddingSize)",
                accepted: "\(speaker.width), the width of campplus.onnx")
        }
    }

    /// The log mel of samples at the mel's rate: [T, M].
    package func melSpectrogram(_ samples: [Float]) -> Tensor { mel.features(samples) }

    /// The speaker encoder, for its stages alone.
    package var speakerEncoder: SpeakerEncoder { speaker }

    /// The conditioning of a voice.
    ///
    /// `tokens` are the recording's audio tokens, counted from `<audio_0>`; the recording itself is
    /// neither trimmed nor brought to a level.
    public func prompt(
        _ recording: AudioClip, tokens: [Int]
    ) throws(SpeechSynthesisError) -> FlowDecoder.Prompt {
        let least = 0.2
        guard recording.duration >= least else {
            throw .promptTooShort(seconds: recording.duration, least: least)
        }
        return FlowDecoder.Prompt(
            tokens: tokens, mel: mel.features(recording.mono(atRate: mel.settings.sampleRate)),
            embedding: try speaker.embedding(recording.mono(atRate: Self.speakerRate)))
    }
}

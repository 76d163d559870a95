// The linguistic tokenizer: 16 kHz samples to codes, 16.7 a second, whole or as a stream. Front end,
// SAN-M network and k-means codebook come from the published files. Source: stepfun-ai/Step-Audio,
// tokenizer.py and its FunASR fork (streaming Paraformer encoder).

import AudioSignal
import Checkpoints
import TensorCore

/// Turns 16 kHz samples into linguistic codes.
public struct LinguisticEncoder: Sendable {
    let frontEnd: LinguisticFrontEnd
    let network: LinguisticNetwork
    let codebook: Codebook

    /// Entries of the codebook.
    public var codeCount: Int { codebook.count }

    /// What one recording carries from portion to portion.
    public struct Stream: Sendable {
        var frontEnd: LinguisticFrontEnd.State
        var network = LinguisticNetwork.State()
    }

    /// Loads the encoder; `dither` is the original's noise on the samples in 16-bit steps.
    ///
    /// Throws `CheckpointError` or `SpeechTokenizerError`.
    public init(_ files: AudioTokenizerFiles, dither: Float = 0) throws {
        let configuration = try FunASRConfiguration(path: files.configuration)
        guard configuration.sampleRate == 16_000 else {
            throw SpeechTokenizerError.unusableSetting(
                file: files.configuration, key: "frontend_conf.fs",
                value: "\(configuration.sampleRate)", accepted: "16000")
        }
        let normalization = try FeatureNormalization(path: files.normalization)
        guard normalization.shift.count == configuration.inputSize else {
            throw SpeechTokenizerError.unusableSetting(
                file: files.normalization, key: "<AddShift>",
                value: "\(normalization.shift.count) values",
                accepted: "\(configuration.inputSize), as n_mels times lfr_m")
        }
        let geometry = ChunkGeometry.stepAudio
        func samples(_ milliseconds: Double) -> Int {
            Int((milliseconds * Double(configuration.sampleRate) / 1000).rounded())
        }
        frontEnd = LinguisticFrontEnd(
            filterBank: KaldiFilterBank(
                sampleRate: configuration.sampleRate,
                frameLength: samples(configuration.frameLength),
                frameShift: samples(configuration.frameShift), melCount: configuration.bands,
                window: .hamming, scale: 32_768),
            stacking: FrameStacking(
                window: configuration.stackedFrames, stride: configuration.frameStride),
            normalization: normalization, geometry: geometry, dither: dither)
        network = try LinguisticNetwork(
            PyTorchArchive(path: files.model), configuration: configuration, geometry: geometry)
        let table = try NumPyFile(path: files.linguisticCodebook)
        let shape = table.tensor.shape
        guard shape.count == 2, shape[1] == network.width, shape[0] > 0 else {
            throw SpeechTokenizerError.unusableSetting(
                file: files.linguisticCodebook, key: "shape", value: "\(shape)",
                accepted: "[codes, \(network.width)]")
        }
        let loader = WeightLoader(table)
        codebook = Codebook(
            count: shape[0], width: shape[1], values: loader.values(table.tensor.name, shape))
        try loader.finish()
    }

    /// Starts a recording.
    public func makeStream(seed: UInt64 = 0) -> Stream {
        Stream(frontEnd: .init(noise: SeededGenerator(seed: seed).fork("dither")))
    }

    /// Codes of the next samples; a final portion flushes the rest and starts the stream anew.
    ///
    /// Any split of a recording into portions gives the same codes.
    public func codes(
        _ samples: some Collection<Float>, isFinal: Bool, stream: inout Stream
    ) -> [Int] {
        codebook.nearest(hidden(samples, isFinal: isFinal, stream: &stream))
    }

    /// Codes of a whole recording.
    public func codes(_ samples: [Float]) -> [Int] {
        var stream = makeStream()
        return codes(samples, isFinal: true, stream: &stream)
    }

    /// Normalised feature rows of a whole recording: [T, inputs].
    public func features(_ samples: [Float]) -> Tensor {
        var stream = makeStream()
        return frontEnd.process(samples, isFinal: true, state: &stream.frontEnd).features
    }

    /// Hidden rows of a whole recording, after the final norm: [T, width].
    public func hidden(_ samples: [Float]) -> Tensor {
        var stream = makeStream()
        return hidden(samples, isFinal: true, stream: &stream)
    }

    private func hidden(
        _ samples: some Collection<Float>, isFinal: Bool, stream: inout Stream
    ) -> Tensor {
        let rows = frontEnd.process(samples, isFinal: isFinal, state: &stream.frontEnd)
        let result = network(rows.features, chunks: rows.chunks, state: &stream.network)
        if isFinal {
            stream.network = LinguisticNetwork.State()
        }
        return result
    }
}

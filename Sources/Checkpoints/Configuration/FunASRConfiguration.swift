// FunASR's config.yaml: the linguistic encoder (SAN-M in chunks) and its front end. What the file leaves
// out has the published model's values.

import TensorCore

/// The linguistic tokenizer's encoder and front end.
public struct FunASRConfiguration: Sendable, Equatable {
    /// Width of the encoder.
    public var outputSize = 512
    /// Attention heads.
    public var heads = 4
    /// Width inside the feed-forward layers.
    public var linearUnits = 2048
    /// Number of layers, the first included.
    public var blocks = 50
    /// Kernel of the memory block.
    public var kernelSize = 11
    /// Frames by which the memory block looks to one side.
    public var memoryShift = 0
    /// Samples a second.
    public var sampleRate = 16_000
    /// Mel bands.
    public var bands = 80
    /// Milliseconds of a frame.
    public var frameLength = 25.0
    /// Milliseconds from frame to frame.
    public var frameShift = 10.0
    /// Frames stacked into a row.
    public var stackedFrames = 7
    /// Frames from row to row.
    public var frameStride = 6
    /// The dither the file asks for, nil when it is silent.
    public var dither: Double?

    /// Width of a stacked row.
    public var inputSize: Int { bands * stackedFrames }

    /// The published values.
    public init() {}

    /// Reads a config.yaml; throws `CheckpointError`.
    public init(path: String) throws {
        guard case .mapping(let members) = try YAMLDocument(path: path).root else {
            throw CheckpointError.malformed(
                path: path, format: "FunASR", reason: "it is not a mapping at the top")
        }
        let wanted = ["model", "encoder", "encoder_conf", "frontend", "frontend_conf"]
        let file = Settings(
            path: path,
            try members.filter { wanted.contains($0.key) }.mapValues { try Self.plain($0, path) })
        _ = try file.word(
            "encoder", default: "SANMEncoderChunkOpt", accepted: ["SANMEncoderChunkOpt"])
        _ = try file.word(
            "frontend", default: "WavFrontendOnline",
            accepted: ["WavFrontendOnline", "WavFrontend"])
        try readEncoder(file.section("encoder_conf"))
        try readFrontEnd(file.section("frontend_conf"))
    }

    private mutating func readEncoder(_ settings: Settings) throws {
        let width = 1...65_536
        outputSize = try settings.integer("output_size", default: outputSize, in: width)
        heads = try settings.integer("attention_heads", default: heads, in: 1...1024)
        linearUnits = try settings.integer("linear_units", default: linearUnits, in: width)
        blocks = try settings.integer("num_blocks", default: blocks, in: 1...1024)
        kernelSize = try settings.integer("kernel_size", default: kernelSize, in: 1...1023)
        // The misspelt key is the format's own.
        memoryShift = try settings.integer("sanm_shfit", default: memoryShift, in: 0...kernelSize)
        _ = try settings.word("input_layer", default: "pe_online", accepted: ["pe_online"])
        try settings.require("normalize_before", true, default: true)
        try settings.require("concat_after", false, default: false)
        _ = try settings.word("selfattention_layer_type", default: "sanm", accepted: ["sanm"])
        guard outputSize.isMultiple(of: heads) else {
            throw settings.invalid(
                "attention_heads", .integer(heads), accepted: "a divisor of \(outputSize)")
        }
    }

    private mutating func readFrontEnd(_ settings: Settings) throws {
        sampleRate = try settings.integer("fs", default: sampleRate, in: 1000...768_000)
        _ = try settings.word("window", default: "hamming", accepted: ["hamming"])
        bands = try settings.integer("n_mels", default: bands, in: 1...4096)
        frameLength = try settings.number("frame_length", default: frameLength, in: 1...1000)
        frameShift = try settings.number("frame_shift", default: frameShift, in: 1...1000)
        stackedFrames = try settings.integer("lfr_m", default: stackedFrames, in: 1...1000)
        frameStride = try settings.integer("lfr_n", default: frameStride, in: 1...1000)
        if settings.has("dither") {
            dither = try settings.number("dither", default: 0, in: 0...1000)
        }
    }

    private static func plain(_ value: YAMLValue, _ path: String) throws -> JSONValue {
        switch value {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(value)
        case .number(let value): return .number(value)
        case .string(let text): return .string(text)
        case .sequence(let values): return .array(try values.map { try plain($0, path) })
        case .mapping(let members): return .object(try members.mapValues { try plain($0, path) })
        case .tagged(let tag, _):
            throw CheckpointError.unsupported(
                path: path, what: "the tag \(tag.prefix(60))", accepted: "plain YAML")
        }
    }
}

// `quantization_config` of config.json: which tools' quantised checkpoints are read.

/// How a checkpoint's weights were quantised.
public struct QuantizationSettings: Sendable, Equatable {
    /// The tool's name.
    public var method: String
    /// Bits of a weight.
    public var bits: Int

    /// The name of our own blocks.
    public static let ownMethod = "stepaudio-blocks"

    /// Reads `quantization_config`; throws when it names something that is not read.
    init(_ file: Settings) throws {
        let section = try file.section("quantization_config")
        let accepted = [Self.ownMethod, "compressed-tensors", "awq", "bitsandbytes"]
        method = try section.word("quant_method", default: "", accepted: accepted)
        switch method {
        case "awq":
            bits = try section.integer("bits", default: 4, in: 4...4)
            _ = try section.word("version", default: "gemm", accepted: ["gemm", "GEMM"])
        case "compressed-tensors":
            _ = try section.word(
                "format", default: "pack-quantized", accepted: ["pack-quantized", "int-quantized"])
            bits = 4
        case "bitsandbytes":
            try section.require("load_in_8bit", true, default: false)
            bits = 8
        default:
            bits = try section.integer("bits", default: 8, in: 4...8)
        }
    }
}

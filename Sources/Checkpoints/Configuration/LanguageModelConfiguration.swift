// config.json of a Step-1 language model. What the file leaves out has the values of the original's
// configuration class; what the network does not do is refused, never passed over.

import TensorCore

/// The sizes and rules of a Step-1 decoder.
public struct LanguageModelConfiguration: Sendable, Equatable {
    /// Width of the hidden states.
    public var hiddenSize = 5120
    /// Width inside the feed-forward layers.
    public var intermediateSize = 13_312
    /// Query heads.
    public var attentionHeads = 40
    /// Key and value heads; query heads share them in contiguous groups.
    public var keyValueHeads = 8
    /// Number of layers.
    public var layers = 48
    /// Longest sequence in tokens.
    public var maximumSequenceLength = 4096
    /// Number of tokens.
    public var vocabularySize = 65_536
    /// Added to the mean of squares before the root.
    public var normEpsilon = 1e-5
    /// The token before every text.
    public var beginID = 1
    /// The tokens that end an answer.
    public var endIDs = [3]
    /// The padding token.
    public var paddingID = 0
    /// Explicit slopes of the attention bias, one a head.
    public var alibiSlopes: [Double]?
    /// Rescales the slopes when it is not 1.
    public var maximumPositionInterpolationRatio = 1.0
    /// Multiplies the logits.
    public var logitScale = 1.0
    /// Whether the file says that the output shares the embedding; a separate output tensor wins.
    public var tiesEmbeddings = false
    /// How the weights were quantised, nil where they are plain.
    public var quantization: QuantizationSettings?

    /// Width of one head.
    public var headSize: Int { hiddenSize / attentionHeads }

    /// The values of the original's configuration class.
    public init() {}

    /// Reads a config.json; throws `CheckpointError`.
    public init(path: String) throws {
        let file = try Settings(jsonFile: path)
        try Self.refuseOtherNetworks(file)
        let width = 1...262_144
        hiddenSize = try file.integer("hidden_size", default: hiddenSize, in: width)
        intermediateSize = try file.integer(
            "intermediate_size", default: intermediateSize, in: 1...1_048_576)
        attentionHeads = try file.integer(
            "num_attention_heads", default: attentionHeads, in: 1...4096)
        let groups =
            file.has("num_attention_groups") ? "num_attention_groups" : "num_key_value_heads"
        keyValueHeads = try file.integer(groups, default: keyValueHeads, in: 1...4096)
        layers = try file.integer("num_hidden_layers", default: layers, in: 1...4096)
        maximumSequenceLength = try file.integer(
            "max_seq_len", default: maximumSequenceLength, in: 1...16_777_216)
        vocabularySize = try file.integer(
            "vocab_size", default: vocabularySize, in: 1...4_194_304)
        normEpsilon = try file.number("rms_norm_eps", default: normEpsilon, in: 0...1)
        let token = -1...(vocabularySize - 1)
        beginID = try file.integer(
            "bos_token_id", default: min(beginID, token.upperBound), in: token)
        paddingID = try file.integer("pad_token_id", default: paddingID, in: token)
        if case .array = file.value("eos_token_id") {
            endIDs = try file.integers(
                "eos_token_id", default: endIDs, in: 0...token.upperBound, count: 1...64)
        } else {
            endIDs = [
                try file.integer(
                    "eos_token_id", default: min(endIDs[0], token.upperBound), in: token)
            ]
        }
        alibiSlopes = try slopes(file)
        maximumPositionInterpolationRatio = try file.number(
            "max_pos_interp_ratio", default: 1, in: 0.001...1_000_000)
        logitScale = try file.number("logit_scale", default: 1, in: 1e-6...1e6)
        tiesEmbeddings = try file.bool("tie_word_embeddings", default: false)
        if file.has("quantization_config") { quantization = try QuantizationSettings(file) }
        guard hiddenSize.isMultiple(of: attentionHeads) else {
            throw file.invalid(
                "num_attention_heads", .integer(attentionHeads),
                accepted: "a divisor of hidden_size \(hiddenSize)")
        }
        guard attentionHeads.isMultiple(of: keyValueHeads) else {
            throw file.invalid(
                groups, .integer(keyValueHeads),
                accepted: "a divisor of num_attention_heads \(attentionHeads)")
        }
    }

    private func slopes(_ file: Settings) throws -> [Double]? {
        guard let value = file.value("alibi_slopes") else { return nil }
        let slopes = value.elements?.compactMap(Settings.number)
        guard let slopes, slopes.count == attentionHeads, slopes.count == value.elements?.count,
            slopes.allSatisfy({ $0 > 0 })
        else {
            throw file.invalid(
                "alibi_slopes", value, accepted: "\(attentionHeads) positive numbers, one a head")
        }
        return slopes
    }

    /// Settings under which the network would compute something else.
    private static func refuseOtherNetworks(_ file: Settings) throws {
        _ = try file.word("model_type", default: "step1", accepted: ["step1"])
        _ = try file.word("hidden_act", default: "silu", accepted: ["silu", "swish"])
        for key in ["use_moe", "attention_bias", "mlp_bias", "use_qk_norm"] {
            try file.require(key, false, default: false)
        }
        if let value = file.value("architectures") {
            let accepted = ["Step1ForCausalLM", "Step1MoEForCausalLM"]
            guard value.elements?.contains(where: { accepted.contains($0.text ?? "") }) == true
            else {
                throw file.invalid(
                    "architectures", .string(value.elements?.first?.text ?? value.summary),
                    accepted: accepted[0])
            }
        }
        if let value = file.value("quantization") {
            throw file.invalid("quantization", value, accepted: "none, or quantization_config")
        }
        for key in ["rope_scaling", "rope_theta", "sliding_window"] {
            if let value = file.value(key) {
                throw file.invalid(key, value, accepted: "none: Step-1 has no such rule")
            }
        }
    }
}

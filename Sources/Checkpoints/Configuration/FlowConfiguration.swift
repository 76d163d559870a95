// The flow of a decoder (`flow` in cosyvoice.yaml): token embedding, encoder, length regulator, and the
// U-Net that estimates velocities. Sizes that the file leaves out have the published model's values.

import TensorCore

/// What the flow's network cannot be told from its tensors.
public struct FlowConfiguration: Sendable, Equatable {
    /// Width of the token embedding and of the encoder's input.
    public var inputSize = 512
    /// Mel bands.
    public var outputSize = 80
    /// Width of the speaker embedding.
    public var speakerEmbeddingSize = 192
    /// Rows of the token embedding.
    public var vocabularySize = 5121
    /// Tokens a second.
    public var inputFrameRate = 125.0 / 3.0
    /// The encoder over the tokens.
    public var encoder = Encoder()
    /// From tokens to mel frames.
    public var regulator = Regulator()
    /// The solver of the flow.
    public var solver = Solver()
    /// The U-Net.
    public var estimator = Estimator()

    /// The relative-position transformer over the tokens.
    public struct Encoder: Sendable, Equatable {
        /// Width of its output.
        public var outputSize = 512
        /// Attention heads.
        public var heads = 8
        /// Width inside the feed-forward layers.
        public var linearUnits = 2048
        /// Number of layers.
        public var blocks = 6
    }

    /// The convolutions that follow the stretching to mel frames.
    public struct Regulator: Sendable, Equatable {
        /// Channels.
        public var channels = 80
        /// One convolution each; a ratio other than 1 is refused.
        public var samplingRatios = [1, 1, 1, 1]
        /// Groups of its normalisation.
        public var groups = 1
    }

    /// Euler steps with guidance.
    public struct Solver: Sendable, Equatable {
        /// Whether the steps follow a cosine, or are equal.
        public var usesCosineSchedule = true
        /// Weight of the guidance: v = (1 + g) v_cond - g v_free.
        public var guidance = 0.7
    }

    /// The U-Net of residual convolutions and transformers.
    public struct Estimator: Sendable, Equatable {
        /// Channels of the concatenated input.
        public var inputChannels = 320
        /// Mel bands.
        public var outputChannels = 80
        /// Channels of each down (and, reversed, up) stage.
        public var channels = [256, 256]
        /// Width of a head.
        public var headSize = 64
        /// Transformers of each stage.
        public var blocks = 4
        /// Stages in the middle.
        public var middleBlocks = 12
        /// Attention heads.
        public var heads = 8
    }

    /// The published values.
    public init() {}

    /// Reads `flow` of a resolved file.
    init(_ flow: Settings) throws {
        try flow.requireClass(["MaskedDiffWithXvec"])
        let width = 1...65_536
        inputSize = try flow.integer("input_size", default: inputSize, in: width)
        outputSize = try flow.integer("output_size", default: outputSize, in: width)
        speakerEmbeddingSize = try flow.integer(
            "spk_embed_dim", default: speakerEmbeddingSize, in: width)
        vocabularySize = try flow.integer(
            "vocab_size", default: vocabularySize, in: 1...4_194_304)
        inputFrameRate = try flow.number(
            "input_frame_rate", default: inputFrameRate, in: 1...1000)
        _ = try flow.word("output_type", default: "mel", accepted: ["mel"])
        encoder = try Encoder(flow.section("encoder"), default: encoder)
        regulator = try Regulator(flow.section("length_regulator"), outputSize: outputSize)
        let decoder = try flow.section("decoder")
        try decoder.requireClass(["ConditionalCFM"])
        solver = try Solver(decoder.section("cfm_params"))
        estimator = try Estimator(decoder.section("estimator"), outputSize: outputSize)
    }
}

extension FlowConfiguration.Encoder {
    init(_ settings: Settings, default fallback: Self) throws {
        try settings.requireClass(["ConformerEncoder", "TransformerEncoder"])
        let width = 1...65_536
        outputSize = try settings.integer("output_size", default: fallback.outputSize, in: width)
        heads = try settings.integer("attention_heads", default: fallback.heads, in: 1...1024)
        linearUnits = try settings.integer(
            "linear_units", default: fallback.linearUnits, in: width)
        blocks = try settings.integer("num_blocks", default: fallback.blocks, in: 1...1024)
        guard outputSize.isMultiple(of: heads) else {
            throw settings.invalid(
                "attention_heads", .integer(heads), accepted: "a divisor of \(outputSize)")
        }
        try settings.require("normalize_before", true, default: true)
        try settings.require("macaron_style", false, default: false)
        // The network has no convolution module; the class's own default is to have one, and the
        // published file turns it off by name.
        try settings.require("use_cnn_module", false, default: false)
        _ = try settings.word("input_layer", default: "linear", accepted: ["linear"])
        _ = try settings.word(
            "pos_enc_layer_type", default: "rel_pos_espnet", accepted: ["rel_pos_espnet"])
        _ = try settings.word(
            "selfattention_layer_type", default: "rel_selfattn", accepted: ["rel_selfattn"])
        _ = try settings.word(
            "activation_type", default: "swish", accepted: ["swish", "silu"])
        try settings.require("use_dynamic_chunk", false, default: false)
        _ = try settings.integer("static_chunk_size", default: 0, in: 0...0)
    }
}

extension FlowConfiguration.Regulator {
    init(_ settings: Settings, outputSize: Int) throws {
        try settings.requireClass(["InterpolateRegulator"])
        channels = try settings.integer("channels", default: outputSize, in: 1...65_536)
        samplingRatios = try settings.integers(
            "sampling_ratios", default: [1, 1, 1, 1], in: 1...1, count: 1...64)
        groups = try settings.integer("groups", default: 1, in: 1...channels)
        guard channels.isMultiple(of: groups) else {
            throw settings.invalid(
                "groups", .integer(groups), accepted: "a divisor of \(channels)")
        }
        _ = try settings.integer("out_channels", default: outputSize, in: outputSize...outputSize)
    }
}

extension FlowConfiguration.Solver {
    init(_ settings: Settings) throws {
        let content = settings.has("content") ? try settings.section("content") : settings
        _ = try content.word("solver", default: "euler", accepted: ["euler"])
        let schedule = try content.word(
            "t_scheduler", default: "cosine", accepted: ["cosine", "linear"])
        usesCosineSchedule = schedule == "cosine"
        guidance = try content.number("inference_cfg_rate", default: 0.7, in: 0...100)
    }
}

extension FlowConfiguration.Estimator {
    init(_ settings: Settings, outputSize: Int) throws {
        try settings.requireClass(["ConditionalDecoder"])
        let width = 1...65_536
        inputChannels = try settings.integer("in_channels", default: 4 * outputSize, in: width)
        outputChannels = try settings.integer("out_channels", default: outputSize, in: width)
        channels = try settings.integers(
            "channels", default: [256, 256], in: width, count: 1...16)
        headSize = try settings.integer("attention_head_dim", default: 64, in: width)
        blocks = try settings.integer("n_blocks", default: 4, in: 0...1024)
        middleBlocks = try settings.integer("num_mid_blocks", default: 12, in: 0...1024)
        heads = try settings.integer("num_heads", default: 8, in: 1...1024)
        _ = try settings.word("act_fn", default: "gelu", accepted: ["gelu"])
    }
}

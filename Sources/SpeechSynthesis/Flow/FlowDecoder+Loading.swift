// Reads the flow from `flow.pt`; widths and counts come from the tensors and cosyvoice.yaml.

import Checkpoints
import TensorCore

extension FlowDecoder {
    /// Loads the flow; throws one error that names every tensor that does not fit.
    public init(_ source: some TensorSource, configuration: DecoderConfiguration) throws {
        let flow = configuration.flow
        let loader = WeightLoader(source)
        let (bands, width) = (flow.outputSize, flow.encoder.outputSize)
        let tokens = loader.shape("input_embedding.weight")?.first ?? flow.vocabularySize
        func linear(_ name: String, _ outputs: Int, _ inputs: Int, bias: Bool = true) -> Linear {
            loader.linear(name, outputs: outputs, inputs: inputs, bias: bias)
        }
        let layers = loader.count("encoder.encoders.#.norm_mha.weight")
        guard layers == flow.encoder.blocks else {
            throw SpeechSynthesisError.unusableSetting(
                file: source.origin, key: "encoder.num_blocks", value: "\(flow.encoder.blocks)",
                accepted: "\(layers), the layers of the checkpoint")
        }
        let encoder = TokenEncoder(
            projection: linear("encoder.embed.out.0", width, flow.inputSize),
            projectionNorm: loader.layerNorm("encoder.embed.out.1", width),
            layers: (0..<layers).map {
                Self.encoderLayer(loader.scoped("encoder.encoders.\($0)."), flow.encoder)
            },
            finalNorm: loader.layerNorm("encoder.after_norm", width))
        let regulator = Self.regulator(loader.scoped("length_regulator.model."), flow.regulator)
        let estimator = try VelocityEstimator(
            loader.scoped("decoder.estimator."), configuration: flow.estimator)
        self.init(
            configuration: flow, mel: configuration.mel,
            embedding: loader.matrix(
                "input_embedding.weight", outputs: tokens, inputs: flow.inputSize),
            speakerProjection: linear(
                "spk_embed_affine_layer", bands, flow.speakerEmbeddingSize),
            encoder: encoder, encoderProjection: linear("encoder_proj", bands, width),
            regulator: regulator, estimator: estimator)
        try loader.finish()
    }

    private static func encoderLayer(
        _ part: WeightLoader, _ configuration: FlowConfiguration.Encoder
    ) -> TokenEncoderLayer {
        let (width, inner) = (configuration.outputSize, configuration.linearUnits)
        let head = [configuration.heads, width / configuration.heads]
        func linear(_ name: String, bias: Bool = true) -> Linear {
            part.linear("self_attn." + name, outputs: width, inputs: width, bias: bias)
        }
        return TokenEncoderLayer(
            attentionNorm: part.layerNorm("norm_mha", width),
            attention: RelativeAttention(
                heads: configuration.heads, query: linear("linear_q"), key: linear("linear_k"),
                value: linear("linear_v"), position: linear("linear_pos", bias: false),
                output: linear("linear_out"),
                contentBias: part.values("self_attn.pos_bias_u", head),
                positionBias: part.values("self_attn.pos_bias_v", head)),
            feedForwardNorm: part.layerNorm("norm_ff", width),
            expansion: part.linear("feed_forward.w_1", outputs: inner, inputs: width),
            contraction: part.linear("feed_forward.w_2", outputs: width, inputs: inner))
    }

    private static func regulator(
        _ part: WeightLoader, _ configuration: FlowConfiguration.Regulator
    ) -> LengthRegulator {
        let (channels, count) = (configuration.channels, configuration.samplingRatios.count)
        return LengthRegulator(
            convolutions: (0..<count).map {
                part.convolution(
                    "\(3 * $0)", outputs: channels, inputs: channels, kernel: 3, padding: 1)
            },
            norms: (0..<count).map {
                part.groupNorm("\(3 * $0 + 1)", channels, groups: configuration.groups)
            },
            output: part.convolution("\(3 * count)", outputs: channels, inputs: channels, kernel: 1)
        )
    }
}

extension VelocityEstimator {
    /// Groups of its group norms.
    private static let groups = 8

    init(_ loader: WeightLoader, configuration: FlowConfiguration.Estimator) throws {
        let channels = configuration.channels
        let inputs = configuration.inputChannels
        let embedded = loader.shape("time_mlp.linear_2.weight")?.first ?? 4 * channels[0]
        for width in channels where !width.isMultiple(of: Self.groups) {
            throw SpeechSynthesisError.unusableSetting(
                file: loader.origin, key: "estimator.channels", value: "\(width)",
                accepted: "multiples of \(Self.groups)")
        }
        func block(_ part: WeightLoader, _ name: String, _ outputs: Int, _ inputs: Int)
            -> ConvolutionBlock
        {
            ConvolutionBlock(
                convolution: part.convolution(
                    name + ".block.0", outputs: outputs, inputs: inputs, kernel: 3, padding: 1),
                norm: part.groupNorm(name + ".block.1", outputs, groups: Self.groups))
        }
        func stage(
            _ name: String, _ inputs: Int, _ outputs: Int, exit: (WeightLoader) -> Stage.Exit
        ) -> Stage {
            let part = loader.scoped(name + ".")
            return Stage(
                residual: TimedResidualBlock(
                    first: block(part, "0.block1", outputs, inputs),
                    second: block(part, "0.block2", outputs, outputs),
                    time: part.linear("0.mlp.1", outputs: outputs, inputs: embedded),
                    residual: part.convolution(
                        "0.res_conv", outputs: outputs, inputs: inputs, kernel: 1)),
                transformers: (0..<configuration.blocks).map {
                    Self.transformer(part.scoped("1.\($0)."), outputs, configuration)
                },
                exit: exit(part))
        }
        func plain(_ part: WeightLoader, _ width: Int) -> Stage.Exit {
            .convolution(
                part.convolution("2", outputs: width, inputs: width, kernel: 3, padding: 1))
        }
        var down: [Stage] = []
        for (index, width) in channels.enumerated() {
            let before = index == 0 ? inputs : channels[index - 1]
            down.append(
                stage("down_blocks.\(index)", before, width) { part in
                    index == channels.count - 1
                        ? plain(part, width)
                        : .convolution(
                            part.convolution(
                                "2.conv", outputs: width, inputs: width, kernel: 3, stride: 2,
                                padding: 1))
                })
        }
        let deepest = channels[channels.count - 1]
        let middle = (0..<configuration.middleBlocks).map {
            stage("mid_blocks.\($0)", deepest, deepest) { _ in .none }
        }
        // The way up reads the skips in reverse; its widths are the reversed ones, the first repeated.
        let widths = channels.reversed() + [channels[0]]
        var up: [Stage] = []
        for index in channels.indices {
            let (before, width) = (widths[index], widths[index + 1])
            let skip = channels[channels.count - 1 - index]
            up.append(
                stage("up_blocks.\(index)", before + skip, width) { part in
                    index == channels.count - 1
                        ? plain(part, width)
                        : .transposed(
                            part.transposedConvolution(
                                "2.conv", inputs: width, outputs: width, kernel: 4, stride: 2,
                                padding: 1))
                })
        }
        self.init(
            time: TimeEmbedding(
                inputs: inputs,
                first: loader.linear("time_mlp.linear_1", outputs: embedded, inputs: inputs),
                second: loader.linear("time_mlp.linear_2", outputs: embedded, inputs: embedded)),
            down: down, middle: middle, up: up,
            finalBlock: block(loader, "final_block", channels[0], channels[0]),
            output: loader.convolution(
                "final_proj", outputs: configuration.outputChannels, inputs: channels[0], kernel: 1)
        )
    }

    private static func transformer(
        _ part: WeightLoader, _ width: Int, _ configuration: FlowConfiguration.Estimator
    ) -> FlowTransformer {
        let mixed = configuration.heads * configuration.headSize
        let inner = part.shape("ff.net.2.weight")?.last ?? 4 * width
        func projection(_ name: String) -> Linear {
            part.linear("attn1.\(name)", outputs: mixed, inputs: width, bias: false)
        }
        return FlowTransformer(
            heads: configuration.heads, attentionNorm: part.layerNorm("norm1", width),
            query: projection("to_q"), key: projection("to_k"), value: projection("to_v"),
            output: part.linear("attn1.to_out.0", outputs: width, inputs: mixed),
            feedForwardNorm: part.layerNorm("norm3", width),
            expansion: part.linear("ff.net.0.proj", outputs: inner, inputs: width),
            contraction: part.linear("ff.net.2", outputs: width, inputs: inner))
    }
}

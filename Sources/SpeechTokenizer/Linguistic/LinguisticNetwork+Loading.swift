// Reads the linguistic network from a FunASR checkpoint (`model.pt`); only `encoder.*` is used.

import Checkpoints
import TensorCore

extension LinguisticNetwork {
    /// Builds the network; throws one error that names every tensor that does not fit.
    init(
        _ source: some TensorSource, configuration: FunASRConfiguration, geometry: ChunkGeometry
    ) throws {
        let loader = WeightLoader(source, prefix: "encoder.")
        let width = configuration.outputSize
        let inputs = configuration.inputSize
        let extra = loader.count("encoders.#.norm1.weight")
        guard extra + 1 == configuration.blocks else {
            throw SpeechTokenizerError.unusableSetting(
                file: source.origin, key: "num_blocks", value: "\(configuration.blocks)",
                accepted: "\(extra + 1), the layers of the checkpoint")
        }
        func norm(_ part: WeightLoader, _ name: String, _ width: Int) -> LayerNorm {
            LayerNorm(
                weight: part.values(name + ".weight", [width]),
                bias: part.values(name + ".bias", [width]), epsilon: 1e-12)
        }
        func linear(_ part: WeightLoader, _ name: String, _ outputs: Int, _ inputs: Int) -> Linear {
            Linear(
                weight: part.matrix(name + ".weight", outputs: outputs, inputs: inputs),
                bias: part.values(name + ".bias", [outputs]))
        }
        func layer(_ name: String, inputs: Int) -> SANMLayer {
            let part = loader.scoped(name + ".")
            let kernel = configuration.kernelSize
            return SANMLayer(
                attentionNorm: norm(part, "norm1", inputs),
                attention: SANMAttention(
                    heads: configuration.heads,
                    projection: linear(part, "self_attn.linear_q_k_v", 3 * width, inputs),
                    output: linear(part, "self_attn.linear_out", width, width),
                    memory: MemoryFilter(
                        weight: part.values("self_attn.fsmn_block.weight", [width, 1, kernel]),
                        width: width, kernel: kernel, shift: configuration.memoryShift),
                    geometry: geometry),
                feedForwardNorm: norm(part, "norm2", width),
                expansion: linear(part, "feed_forward.w_1", configuration.linearUnits, width),
                contraction: linear(part, "feed_forward.w_2", width, configuration.linearUnits))
        }
        let layers =
            [layer("encoders0.0", inputs: inputs)]
            + (0..<extra).map { layer("encoders.\($0)", inputs: width) }
        let finalNorm = norm(loader, "after_norm", width)
        try loader.finish()
        self.init(
            inputs: inputs, width: width, layers: layers, finalNorm: finalNorm,
            positions: StreamPositions(width: inputs), geometry: geometry)
    }
}

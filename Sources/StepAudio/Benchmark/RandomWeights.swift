// Networks of the published sizes with random weights, so that speed can be measured without a
// download. Language models are made in the precision that is measured; nothing is converted.

import Checkpoints
import LanguageModel
import SpeechSynthesis
import TensorCore

/// Makes networks with random weights.
enum RandomWeights {
    /// A Step-1 network.
    static func languageModel(
        _ c: LanguageModelConfiguration, precision: WeightPrecision
    ) throws -> Step1Model {
        let (width, keyWidth) = (c.hiddenSize, c.keyValueHeads * c.headSize)
        var tensors: [String: StoredTensor] = [:]
        var seed: UInt64 = 1
        func matrix(
            _ name: String, _ outputs: Int, _ inputs: Int, _ precision: WeightPrecision
        ) throws {
            seed += 1
            tensors[name] = try stored(name, outputs, inputs, precision, seed: seed)
        }
        func norm(_ name: String) throws {
            tensors[name] = try plain(name, [width], [Float](repeating: 1, count: width))
        }
        try matrix(
            "model.embed_tokens.weight", c.vocabularySize, width, precision.forEmbedding)
        for index in 0..<c.layers {
            let p = "model.layers.\(index)."
            try norm(p + "input_layernorm.weight")
            try norm(p + "post_attention_layernorm.weight")
            for (name, outputs) in [("q", width), ("k", keyWidth), ("v", keyWidth), ("o", width)] {
                try matrix(p + "self_attn.\(name)_proj.weight", outputs, width, precision)
            }
            try matrix(p + "mlp.gate_proj.weight", c.intermediateSize, width, precision)
            try matrix(p + "mlp.up_proj.weight", c.intermediateSize, width, precision)
            try matrix(p + "mlp.down_proj.weight", width, c.intermediateSize, precision)
        }
        try norm("model.norm.weight")
        try matrix("lm_head.weight", c.vocabularySize, width, precision.forHead)
        return try Step1Model(
            configuration: c, source: NamedTensors(origin: "random weights", tensors: tensors),
            precision: precision)
    }

    /// Bytes of one layer of a Step-1 network, and of what comes beside the layers.
    static func bytes(
        _ c: LanguageModelConfiguration, precision: WeightPrecision
    ) -> (layer: Int, rest: Int) {
        let (width, keyWidth, inner) = (
            c.hiddenSize, c.keyValueHeads * c.headSize, c.intermediateSize
        )
        let shapes = [
            (width, width), (keyWidth, width), (keyWidth, width), (width, width), (inner, width),
            (inner, width), (width, inner),
        ]
        return (
            shapes.reduce(0) { $0 + precision.byteCount(outputs: $1.0, inputs: $1.1) },
            precision.forHead.byteCount(outputs: c.vocabularySize, inputs: width)
                + precision.forEmbedding.byteCount(outputs: c.vocabularySize, inputs: width)
        )
    }

    /// The flow of a configuration.
    static func flow(_ configuration: DecoderConfiguration) throws -> FlowDecoder {
        // The network counts its encoder's layers in the file; everything else it asks for by name.
        var seeds: [String: StoredTensor] = [:]
        let width = configuration.flow.encoder.outputSize
        for index in 0..<configuration.flow.encoder.blocks {
            let name = "encoder.encoders.\(index).norm_mha.weight"
            seeds[name] = try plain(name, [width], [Float](repeating: 1, count: width))
        }
        return try filled(seeds) { try FlowDecoder($0, configuration: configuration) }
    }

    /// The vocoder of a configuration.
    static func vocoder(_ configuration: VocoderConfiguration) throws -> Vocoder {
        try filled([:]) { try Vocoder($0, configuration: configuration) }
    }

    /// Builds a network from what it misses: its loader names every tensor with its shape.
    private static func filled<Network>(
        _ seeds: [String: StoredTensor], _ build: (NamedTensors) throws -> Network
    ) throws -> Network {
        var tensors = seeds
        do {
            return try build(NamedTensors(origin: "random weights", tensors: tensors))
        } catch CheckpointError.weights(_, let problems) {
            var random = SeededGenerator(seed: 5)
            for case .missing(let name, let shape) in problems {
                tensors[name] = try plain(name, shape, values(name, shape, &random))
            }
        }
        return try build(NamedTensors(origin: "random weights", tensors: tensors))
    }

    /// Values under which activations neither grow nor vanish.
    private static func values(
        _ name: String, _ shape: [Int], _ random: inout SeededGenerator
    ) -> [Float] {
        let count = shape.reduce(1, *)
        if shape.count == 1 {
            return [Float](repeating: name.hasSuffix("bias") ? 0 : 1, count: count)
        }
        let scale = 1 / Float(max(1, count / shape[0])).squareRoot()
        return random.normals(count).map { $0 * scale }
    }

    private static func plain(
        _ name: String, _ shape: [Int], _ values: [Float]
    ) throws -> StoredTensor {
        let storage = values.withUnsafeBytes { TensorStorage(copying: $0) }
        return try StoredTensor(
            name: name, shape: shape, scalarType: .float32, storage: storage, byteOffset: 0)
    }

    /// A matrix of random bits that are small numbers in the given precision.
    private static func stored(
        _ name: String, _ outputs: Int, _ inputs: Int, _ precision: WeightPrecision, seed: UInt64
    ) throws -> StoredTensor {
        let size = precision.byteCount(outputs: outputs, inputs: inputs)
        let storage = TensorStorage(count: size) { bytes in
            randomBits(bytes, seed: seed) { word in
                switch precision {  // magnitudes from 1/64 to 1/32
                case .fp32: word & 0x807F_FFFF_807F_FFFF | 0x3C80_0000_3C80_0000
                case .bf16: word & 0x807F_807F_807F_807F | 0x3C80_3C80_3C80_3C80
                case .int8, .int4: word
                }
            }
            if precision.isQuantized { setScales(bytes, precision) }
        }
        let type: ScalarType =
            precision.isQuantized ? .uint8 : precision == .bf16 ? .bfloat16 : .float32
        let shape =
            precision.isQuantized
            ? QuantizedBlocks.shape(outputs: outputs, inputs: inputs, precision: precision)
            : [outputs, inputs]
        return try StoredTensor(
            name: name, shape: shape, scalarType: type, storage: storage, byteOffset: 0)
    }

    private static func randomBits(
        _ bytes: UnsafeMutableRawBufferPointer, seed: UInt64, _ shape: @Sendable (UInt64) -> UInt64
    ) {
        guard let base = bytes.baseAddress else { return }
        let target = SharedPointer(base.assumingMemoryBound(to: UInt8.self))
        let words = bytes.count / 8
        Parallel.forEachRange(words, grain: 4096, partsPerThread: 4) { range in
            var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(range.lowerBound) | 1
            let start = UnsafeMutableRawPointer(target.base)
            for word in range {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                start.storeBytes(of: shape(state), toByteOffset: 8 * word, as: UInt64.self)
            }
        }
        for byte in words * 8..<bytes.count {
            bytes[byte] = 0
        }
    }

    /// One scale for all blocks, of the size that gives weights of about 1/45.
    private static func setScales(
        _ bytes: UnsafeMutableRawBufferPointer, _ precision: WeightPrecision
    ) {
        let size = QuantizedBlocks.blockBytes(precision)
        let scale: Float = precision == .int4 ? 1.0 / 200 : 1.0 / 3300
        let bits = WeightMatrix.roundToBFloat16(scale)
        for block in stride(from: 0, to: bytes.count, by: size) {
            for output in 0..<QuantizedBlocks.tile {
                bytes.storeBytes(of: bits, toByteOffset: block + 2 * output, as: UInt16.self)
            }
        }
    }
}

// A Step-1 network with random weights and odd sizes, held in memory.

import Checkpoints
import Foundation
import LanguageModel
import TensorCore

/// Makes networks.
enum TinyModel {
    static var configuration: LanguageModelConfiguration {
        var c = LanguageModelConfiguration()
        c.hiddenSize = 30
        c.intermediateSize = 47
        c.attentionHeads = 6
        c.keyValueHeads = 2
        c.layers = 3
        c.vocabularySize = 91
        c.maximumSequenceLength = 400
        return c
    }

    static func make(
        seed: UInt64 = 1, precision: WeightPrecision = .fp32, damaged: String? = nil,
        context: Int = 400
    ) throws -> Step1Model {
        var c = configuration
        c.maximumSequenceLength = context
        var generator = SeededGenerator(seed: seed)
        var tensors: [String: StoredTensor] = [:]
        func add(_ name: String, _ shape: [Int], scale: Float, offset: Float = 0) throws {
            guard name != damaged else { return }
            let count = shape.reduce(1, *)
            let bytes = generator.normals(count).flatMap { value in
                withUnsafeBytes(of: (offset + scale * value).bitPattern.littleEndian, Array.init)
            }
            tensors[name] = try StoredTensor(
                name: name, shape: shape, scalarType: .float32,
                storage: TensorStorage(copying: bytes), byteOffset: 0)
        }
        let (width, keys) = (c.hiddenSize, c.keyValueHeads * c.headSize)
        try add("model.embed_tokens.weight", [c.vocabularySize, width], scale: 1)
        for layer in 0..<c.layers {
            let prefix = "model.layers.\(layer)."
            try add(prefix + "input_layernorm.weight", [width], scale: 0.1, offset: 1)
            try add(prefix + "self_attn.q_proj.weight", [width, width], scale: 0.3)
            try add(prefix + "self_attn.k_proj.weight", [keys, width], scale: 0.3)
            try add(prefix + "self_attn.v_proj.weight", [keys, width], scale: 0.3)
            try add(prefix + "self_attn.o_proj.weight", [width, width], scale: 0.3)
            try add(prefix + "post_attention_layernorm.weight", [width], scale: 0.1, offset: 1)
            try add(prefix + "mlp.gate_proj.weight", [c.intermediateSize, width], scale: 0.3)
            try add(prefix + "mlp.up_proj.weight", [c.intermediateSize, width], scale: 0.3)
            try add(prefix + "mlp.down_proj.weight", [width, c.intermediateSize], scale: 0.3)
        }
        try add("model.norm.weight", [width], scale: 0.1, offset: 1)
        try add("lm_head.weight", [c.vocabularySize, width], scale: 0.5)
        return try Step1Model(
            configuration: c, source: NamedTensors(origin: "memory", tensors: tensors),
            precision: precision)
    }
}

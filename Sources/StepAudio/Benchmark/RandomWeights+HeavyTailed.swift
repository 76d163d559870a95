// fp32 weights with heavy tails, as trained weights have them: Student's t with 5 degrees of freedom,
// scaled so that activations keep their size.

import Checkpoints
import LanguageModel
import TensorCore

extension RandomWeights {
    /// The tensors of a Step-1 network.
    static func heavyTailed(_ c: LanguageModelConfiguration) throws -> NamedTensors {
        let (width, keys, inner) = (c.hiddenSize, c.keyValueHeads * c.headSize, c.intermediateSize)
        var tensors: [String: StoredTensor] = [:]
        var seed: UInt64 = 77
        func add(_ name: String, _ shape: [Int], _ fill: (Int) -> TensorStorage) throws {
            tensors[name] = try StoredTensor(
                name: name, shape: shape, scalarType: .float32, storage: fill(shape.reduce(1, *)),
                byteOffset: 0)
        }
        func matrix(_ name: String, _ outputs: Int, _ inputs: Int) throws {
            seed += 1
            try add(name, [outputs, inputs]) { count in
                students(count, scale: 0.7 / Float(inputs).squareRoot(), seed: seed)
            }
        }
        func norm(_ name: String) throws {
            try add(name, [width]) { count in
                [Float](repeating: 1, count: count).withUnsafeBytes { TensorStorage(copying: $0) }
            }
        }
        try matrix("model.embed_tokens.weight", c.vocabularySize, width)
        try matrix("lm_head.weight", c.vocabularySize, width)
        try norm("model.norm.weight")
        for index in 0..<c.layers {
            let p = "model.layers.\(index)."
            try norm(p + "input_layernorm.weight")
            try norm(p + "post_attention_layernorm.weight")
            for (name, outputs) in [("q", width), ("k", keys), ("v", keys), ("o", width)] {
                try matrix(p + "self_attn.\(name)_proj.weight", outputs, width)
            }
            try matrix(p + "mlp.gate_proj.weight", inner, width)
            try matrix(p + "mlp.up_proj.weight", inner, width)
            try matrix(p + "mlp.down_proj.weight", width, inner)
        }
        return NamedTensors(origin: "random weights", tensors: tensors)
    }

    /// Draws of Student's t; a stretch of 65536 has a generator of its own.
    private static func students(_ count: Int, scale: Float, seed: UInt64) -> TensorStorage {
        let stretch = 65_536
        return TensorStorage(count: 4 * count) { bytes in
            guard let base = bytes.baseAddress else { return }
            let target = SharedPointer(base.assumingMemoryBound(to: Float.self))
            Parallel.forEach((count + stretch - 1) / stretch) { part in
                let first = part * stretch
                let length = min(stretch, count - first)
                var random = SeededGenerator(seed: seed &* 1_000_003 &+ UInt64(part))
                let draws = random.normals(6 * length)
                for index in 0..<length {
                    var power: Float = 1e-6
                    for k in 1...5 {
                        let draw = draws[6 * index + k]
                        power += draw * draw
                    }
                    target.base[first + index] =
                        scale * draws[6 * index] / (power / 5).squareRoot()
                }
            }
        }
    }
}

// fp32 weights with heavy tails, as trained weights have them: Student's t with 5 degrees of freedom,
// scaled so that activations keep their size.

import Checkpoints
import Foundation
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

    /// Draws of Student's t, four from every 64 random bits.
    private static func students(_ count: Int, scale: Float, seed: UInt64) -> TensorStorage {
        let table = quantiles.map { $0 * scale }
        let padded = (count + 3) / 4 * 4
        return TensorStorage(count: 4 * padded) { bytes in
            guard let base = bytes.baseAddress else { return }
            let target = SharedPointer(base.assumingMemoryBound(to: Float.self))
            table.withUnsafeBufferPointer { table in
                guard let table = table.baseAddress.map({ SharedReadPointer($0) }) else { return }
                Parallel.forEachRange(padded, grain: stretch, partsPerThread: 4) { range in
                    for first in Swift.stride(
                        from: range.lowerBound, to: range.upperBound, by: stretch)
                    {
                        var random = SeededGenerator(
                            seed: seed &* 1_000_003 &+ UInt64(first / stretch))
                        let end = min(first + stretch, range.upperBound)
                        for index in Swift.stride(from: first, to: end, by: 4) {
                            let word = random.next()
                            for place in 0..<4 {
                                let draw =
                                    Int(truncatingIfNeeded: word >> UInt64(16 * place)) & 0xFFFF
                                target.base[index + place] = table.base[draw]
                            }
                        }
                    }
                }
            }
        }
    }

    /// Values that one generator draws, whatever the number of threads.
    private static let stretch = 65_536

    /// The 65536 quantiles of Student's t with 5 degrees of freedom, from its distribution in closed form.
    static let quantiles: [Float] = {
        func share(_ t: Double) -> Double {
            let square = 1 + t * t / 5
            let x = t / 5.0.squareRoot()
            return 0.5 + (x / square * (1 + 2 / (3 * square)) + atan(x)) / Double.pi
        }
        let upper = (0..<32_768).map { index -> Float in
            let wanted = 0.5 + (Double(index) + 0.5) / 65_536
            var (low, high) = (0.0, 64.0)
            for _ in 0..<50 {
                let middle = (low + high) / 2
                if share(middle) < wanted { low = middle } else { high = middle }
            }
            return Float(low)
        }
        return upper.reversed().map { -$0 } + upper
    }()
}

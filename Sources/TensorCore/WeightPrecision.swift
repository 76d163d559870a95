// The number formats in which weights are kept.

import Kernels

/// How weights are kept in memory.
public enum WeightPrecision: String, Sendable, CaseIterable, Codable {
    case fp32, bf16
    /// 8 bits a weight and one scale (bf16) for 32 neighbouring inputs of an output.
    case int8
    /// 4 bits a weight, otherwise like int8.
    case int4

    /// Whether weights are whole numbers times a scale, multiplied with rounded activations.
    public var isQuantized: Bool { self == .int8 || self == .int4 }

    /// Bits of one weight, scales not counted.
    public var bits: Int {
        switch self {
        case .fp32: 32
        case .bf16: 16
        case .int8: 8
        case .int4: 4
        }
    }

    /// Bytes of a matrix, scales and padding counted.
    public func byteCount(outputs: Int, inputs: Int) -> Int {
        isQuantized
            ? QuantizedBlocks.shape(outputs: outputs, inputs: inputs, precision: self)
                .reduce(1, *)
            : outputs * inputs * bits / 8
    }

    /// The file's element type that can be used in place, for plain matrices.
    var scalarType: ScalarType? {
        switch self {
        case .fp32: .float32
        case .bf16: .bfloat16
        case .int8, .int4: nil
        }
    }

    /// The precision of a language model's embedding, whose rows are read one at a time: never whole
    /// numbers.
    public var forEmbedding: WeightPrecision { isQuantized ? .bf16 : self }

    /// The precision of a language model's output, which decides between neighbouring tokens and is a
    /// small part of the reading: int8 at the least.
    public var forHead: WeightPrecision { self == .int4 ? .int8 : self }

    /// The precision of a layer's matrix of a language model.
    ///
    /// A narrow network has no room for the rounding errors of int4: below a hidden size of 1024 only the
    /// gate and the projection up, two thirds of the feed-forward, take 4 bits, and everything else 8.
    public func forProjection(_ name: String, hiddenSize: Int) -> WeightPrecision {
        let isRobust = name.contains("gate_proj") || name.contains("up_proj")
        return self == .int4 && hiddenSize < 1024 && !isRobust ? .int8 : self
    }

    /// The precision of keys and values: bf16 beside whole numbers, whose products round more than that.
    public var forCache: WeightPrecision { isQuantized ? .bf16 : .fp32 }
}

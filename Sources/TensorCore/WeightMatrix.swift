// Weight matrices [outputs, inputs] in fp32 or bf16. A bf16 matrix keeps its two bytes a weight
// (and stays in the mapped file when the file is bf16); products accumulate in fp32.

import Kernels

/// How weights are kept in memory.
public enum WeightPrecision: String, Sendable, CaseIterable, Codable {
    case fp32, bf16

    /// Bytes of one weight.
    public var byteCount: Int { self == .fp32 ? 4 : 2 }
}

/// A row-major weight matrix, one row an output.
public struct WeightMatrix: Sendable {
    /// Number of rows.
    public let outputs: Int
    /// Number of columns.
    public let inputs: Int
    /// Precision in memory.
    public let precision: WeightPrecision
    private let storage: TensorStorage
    private let byteOffset: Int

    private init(
        outputs: Int, inputs: Int, precision: WeightPrecision, storage: TensorStorage,
        byteOffset: Int
    ) {
        self.outputs = outputs
        self.inputs = inputs
        self.precision = precision
        self.storage = storage
        self.byteOffset = byteOffset
    }

    /// Makes a matrix from fp32 values, rounding them when `precision` asks for it.
    public init(
        outputs: Int, inputs: Int, values: [Float], precision: WeightPrecision = .fp32
    ) {
        precondition(values.count == outputs * inputs, "\(values.count) != \(outputs)x\(inputs)")
        let storage =
            switch precision {
            case .fp32: values.withUnsafeBytes { TensorStorage(copying: $0) }
            case .bf16:
                values.map(Self.roundToBFloat16).withUnsafeBytes { TensorStorage(copying: $0) }
            }
        self.init(
            outputs: outputs, inputs: inputs, precision: precision, storage: storage,
            byteOffset: 0)
    }

    /// Uses a stored matrix in place where its type and alignment allow, converts it otherwise.
    public init(_ stored: StoredTensor, precision: WeightPrecision) throws(TensorError) {
        guard stored.shape.count == 2 else {
            throw .notAMatrix(name: stored.name, shape: stored.shape)
        }
        let inPlace: ScalarType = precision == .fp32 ? .float32 : .bfloat16
        if stored.scalarType == inPlace, stored.byteOffset % inPlace.byteCount == 0 {
            self.init(
                outputs: stored.shape[0], inputs: stored.shape[1], precision: precision,
                storage: stored.storage, byteOffset: stored.byteOffset)
        } else {
            self.init(
                outputs: stored.shape[0], inputs: stored.shape[1], values: stored.floats(),
                precision: precision)
        }
    }

    /// Bytes the weights occupy.
    public var byteCount: Int { outputs * inputs * precision.byteCount }

    /// Calls `body` with the first weight's address.
    package func withPointer<R>(_ body: (UnsafeRawPointer) -> R) -> R? {
        withExtendedLifetime(storage) { storage.baseAddress.map { body($0 + byteOffset) } }
    }

    /// x W^T: [T, inputs] -> [T, outputs], on all cores.
    public func multiply(_ x: Tensor) -> Tensor {
        multiply(x, bias: nil)
    }

    /// x W^T + bias: [T, inputs] -> [T, outputs], on all cores.
    public func multiply(_ x: Tensor, bias: [Float]?) -> Tensor {
        precondition(x.columns == inputs, "\(x.shape) times [\(outputs), \(inputs)]")
        let rows = x.rows
        let result = [Float](unsafeUninitializedCapacity: rows * outputs) { buffer, count in
            x.values.withUnsafeBufferPointer { source in
                if let a = source.baseAddress, let c = buffer.baseAddress {
                    multiply(rows: rows, from: a, into: c, bias: bias)
                } else {
                    buffer.initialize(repeating: 0)
                }
            }
            count = rows * outputs
        }
        return Tensor(shape: Array(x.shape.dropLast()) + [outputs], values: result)
    }

    /// The same on pointers: `from` is [rows, inputs], `into` [rows, outputs], both contiguous.
    package func multiply(
        rows: Int, from a: UnsafePointer<Float>, into c: UnsafeMutablePointer<Float>,
        bias: [Float]? = nil, accumulate: Bool = false, outputRange: Range<Int>? = nil
    ) {
        let range = outputRange ?? 0..<outputs
        withPointer { weights in
            func run(_ bias: UnsafePointer<Float>?) {
                MatrixProduct.multiplyParallel(
                    m: rows, n: range.count, k: inputs, a: a, aStride: inputs,
                    weights: weights + range.lowerBound * inputs * precision.byteCount,
                    weightsStride: inputs, isBFloat16: precision == .bf16, c: c,
                    cStride: range.count, accumulate: accumulate, bias: bias)
            }
            if let bias {
                bias.withUnsafeBufferPointer { values in
                    run(values.baseAddress.map { $0 + range.lowerBound })
                }
            } else {
                run(nil)
            }
        }
    }

    /// One row as fp32, as an embedding look-up wants it.
    public func row(_ index: Int) -> [Float] {
        precondition((0..<outputs).contains(index), "row \(index) of \(outputs)")
        return [Float](unsafeUninitializedCapacity: inputs) { buffer, count in
            withPointer { weights in
                guard let target = buffer.baseAddress else { return }
                let start = weights + index * inputs * precision.byteCount
                switch precision {
                case .fp32:
                    target.update(from: start.assumingMemoryBound(to: Float.self), count: inputs)
                case .bf16:
                    sa_widen_bf16(start.assumingMemoryBound(to: UInt16.self), target, inputs)
                }
            }
            count = inputs
        }
    }

    /// Rounds to the nearest bf16, ties to even; NaN stays NaN.
    package static func roundToBFloat16(_ value: Float) -> UInt16 {
        if value.isNaN {
            return 0x7FC0
        }
        let bits = value.bitPattern
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
    }
}

/// y = x W^T + b over the last axis.
public struct Linear: Sendable {
    /// [outputs, inputs].
    public let weight: WeightMatrix
    /// One value an output, or nil.
    public let bias: [Float]?

    /// Makes the layer; a bias must have one value an output.
    public init(weight: WeightMatrix, bias: [Float]?) {
        precondition(bias == nil || bias?.count == weight.outputs, "bias of another size")
        self.weight = weight
        self.bias = bias
    }

    /// [T, inputs] -> [T, outputs].
    public func callAsFunction(_ x: Tensor) -> Tensor {
        weight.multiply(x, bias: bias)
    }
}

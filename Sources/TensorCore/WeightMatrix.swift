// Weight matrices [outputs, inputs] in fp32, bf16, int8 or int4. A matrix stays in the mapped file when
// the file holds the precision asked for; products accumulate in fp32. The bits of a result's row depend
// on its own row of inputs only: not on the rows beside it, the range of outputs or the threads.

import Kernels

/// A weight matrix, one row an output: row-major in fp32 and bf16, in blocks in int8 and int4.
public struct WeightMatrix: Sendable {
    /// Number of rows.
    public let outputs: Int
    /// Number of columns.
    public let inputs: Int
    /// Precision in memory.
    public let precision: WeightPrecision
    private let storage: TensorStorage
    private let byteOffset: Int

    init(
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
            case .int8, .int4:
                values.withUnsafeBytes {
                    QuantizedBlocks.packed(
                        $0.baseAddress, isBFloat16: false, outputs: outputs, inputs: inputs,
                        precision: precision)
                }
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
        let (outputs, inputs) = (stored.shape[0], stored.shape[1])
        let type = stored.scalarType
        let isAligned = stored.byteOffset % type.byteCount == 0
        if isAligned, type == precision.scalarType {
            self.init(
                outputs: outputs, inputs: inputs, precision: precision, storage: stored.storage,
                byteOffset: stored.byteOffset)
        } else if precision.isQuantized, isAligned, type == .bfloat16 || type == .float32 {
            let blocks = stored.withBytes {
                QuantizedBlocks.packed(
                    $0.baseAddress, isBFloat16: type == .bfloat16, outputs: outputs,
                    inputs: inputs, precision: precision)
            }
            stored.releasePages()
            self.init(
                outputs: outputs, inputs: inputs, precision: precision, storage: blocks,
                byteOffset: 0)
        } else {
            self.init(
                outputs: outputs, inputs: inputs, values: stored.floats(), precision: precision)
        }
    }

    /// Uses blocks of int8 or int4 weights in place, in the order of `QuantizedBlocks`.
    ///
    /// The stored tensor's shape is [tiles, blocks, bytes of a block].
    public init(
        blocks stored: StoredTensor, outputs: Int, inputs: Int
    ) throws(TensorError) {
        guard let precision = QuantizedBlocks.precision(stored),
            stored.shape
                == QuantizedBlocks.shape(
                    outputs: outputs, inputs: inputs, precision: precision)
        else { throw .notBlocks(name: stored.name, shape: stored.shape) }
        self.init(
            outputs: outputs, inputs: inputs, precision: precision, storage: stored.storage,
            byteOffset: stored.byteOffset)
    }

    /// Bytes the weights occupy.
    public var byteCount: Int { precision.byteCount(outputs: outputs, inputs: inputs) }

    /// Calls `body` with the first weight's address.
    package func withPointer<R>(_ body: (UnsafeRawPointer) -> R) -> R? {
        withExtendedLifetime(storage) { storage.baseAddress.map { body($0 + byteOffset) } }
    }

    private func blocks(at weights: UnsafeRawPointer) -> QuantizedBlocks {
        QuantizedBlocks(base: weights, outputs: outputs, inputs: inputs, precision: precision)
    }

    /// A view of int8 or int4 weights, valid as long as the matrix; nil for plain ones.
    var blocks: QuantizedBlocks? {
        precision.isQuantized ? withPointer(blocks(at:)) : nil
    }

    /// Calls `body` with the weights' bytes.
    package func withBytes(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        try storage.withBytes { all in
            try body(UnsafeRawBufferPointer(rebasing: all[byteOffset..<byteOffset + byteCount]))
        }
    }

    /// Lets go of the pages of a mapped file that hold the weights; the next touch reads them again.
    func releasePages() {
        storage.release(byteOffset..<byteOffset + byteCount)
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
                guard !precision.isQuantized else {
                    blocks(at: weights).multiply(
                        rows: rows, outputs: range, from: a, into: c, accumulate: accumulate,
                        bias: bias)
                    return
                }
                let bytes = precision == .bf16 ? 2 : 4
                MatrixProduct.multiplyParallel(
                    m: rows, n: range.count, k: inputs, a: a, aStride: inputs,
                    weights: weights + range.lowerBound * inputs * bytes,
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
                switch precision {
                case .fp32:
                    let start = weights + index * inputs * 4
                    target.update(from: start.assumingMemoryBound(to: Float.self), count: inputs)
                case .bf16:
                    let start = weights + index * inputs * 2
                    sa_widen_bf16(start.assumingMemoryBound(to: UInt16.self), target, inputs)
                case .int8, .int4:
                    blocks(at: weights).read(row: index, into: target)
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

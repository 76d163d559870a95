// Products in which a row's result does not depend on how many rows there are: the ground of batching
// without side effects. A product of few rows and one of many rows sum in different orders; here the
// caller chooses the order, not the number of rows.

import Kernels

/// The order in which a product sums, chosen by what the rows are for.
public enum RowOrder: Sendable {
    /// Every row for itself: weights are read once and never packed. For one token of each of many
    /// sequences.
    case rowByRow
    /// In packed tiles. For the many rows of a prompt.
    case tiles

    package var isRowByRow: Bool { self == .rowByRow }
}

extension WeightMatrix {
    /// Smallest number of multiply-adds that is worth a second thread.
    private static let parallelWork = 600_000

    /// x W^T: [T, inputs] -> [T, outputs], or the columns of `range` only.
    ///
    /// A row of the result depends on its own row of `x` and on the order, on nothing else.
    package func multiply(_ x: Tensor, order: RowOrder, range: Range<Int>? = nil) -> Tensor {
        precondition(x.columns == inputs, "\(x.shape) times [\(outputs), \(inputs)]")
        let range = range ?? 0..<outputs
        let rows = x.rows
        let values = [Float](unsafeUninitializedCapacity: rows * range.count) { buffer, count in
            x.values.withUnsafeBufferPointer { source in
                if let a = source.baseAddress, let c = buffer.baseAddress {
                    multiply(rows: rows, from: a, into: c, order: order, range: range)
                }
            }
            count = rows * range.count
        }
        return Tensor(shape: [rows, range.count], values: values)
    }

    private func multiply(
        rows: Int, from a: UnsafePointer<Float>, into c: UnsafeMutablePointer<Float>,
        order: RowOrder, range: Range<Int>
    ) {
        let type = Int32(precision == .bf16 ? SA_BFLOAT16.rawValue : SA_FLOAT32.rawValue)
        let (inputs, bytes) = (inputs, precision.byteCount)
        let (left, target) = (SharedReadPointer(a), SharedPointer(c))
        withPointer { weights in
            let right = SharedReadPointer(weights.assumingMemoryBound(to: UInt8.self))
            let product: @Sendable (Range<Int>) -> Void = { outputs in
                sa_gemm(
                    rows, outputs.count, inputs, left.base, inputs,
                    right.base + (range.lowerBound + outputs.lowerBound) * inputs * bytes, inputs,
                    type, false, target.base + outputs.lowerBound, range.count, 1, false, nil,
                    order.isRowByRow)
            }
            if rows * range.count * inputs < Self.parallelWork {
                product(0..<range.count)
            } else {
                Parallel.forEachRange(range.count, grain: 32, product)
            }
        }
    }
}

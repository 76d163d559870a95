// Products over a part of the outputs, for batches of many sequences' rows.

/// What the rows of a batch are for.
///
/// Products sum in one order whatever the number of rows (Kernels/body_products.h), so both give the
/// same bits.
public enum RowOrder: Sendable {
    /// One token of each of many sequences.
    case rowByRow
    /// The many rows of a prompt.
    case tiles
}

extension WeightMatrix {
    /// x W^T: [T, inputs] -> [T, outputs], or the columns of `range` only.
    ///
    /// A row of the result depends on its own row of `x` only.
    package func multiply(_ x: Tensor, order: RowOrder, range: Range<Int>? = nil) -> Tensor {
        precondition(x.columns == inputs, "\(x.shape) times [\(outputs), \(inputs)]")
        let range = range ?? 0..<outputs
        let rows = x.rows
        let values = [Float](unsafeUninitializedCapacity: rows * range.count) { buffer, count in
            x.values.withUnsafeBufferPointer { source in
                if let a = source.baseAddress, let c = buffer.baseAddress {
                    multiply(rows: rows, from: a, into: c, outputRange: range)
                }
            }
            count = rows * range.count
        }
        return Tensor(shape: [rows, range.count], values: values)
    }
}

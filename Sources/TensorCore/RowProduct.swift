// Products over a part of the outputs.

extension WeightMatrix {
    /// x W^T: [T, inputs] -> the columns of `range` of [T, outputs].
    ///
    /// A row of the result depends on its own row of `x` only.
    package func multiply(_ x: Tensor, range: Range<Int>) -> Tensor {
        precondition(x.columns == inputs, "\(x.shape) times [\(outputs), \(inputs)]")
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

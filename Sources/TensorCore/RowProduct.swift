// Products over a part of the outputs, and several over the same rows.

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

    /// x W^T of several matrices with the same inputs, each [T, inputs] -> [T, outputs].
    ///
    /// The same bits as one product after the other; blocks share the rounding of `x` and one loop.
    package static func products(_ x: Tensor, _ matrices: [WeightMatrix]) -> [Tensor] {
        guard matrices.allSatisfy(\.precision.isQuantized) else {
            return matrices.map { $0.multiply(x) }
        }
        precondition(
            matrices.allSatisfy { $0.inputs == x.columns }, "\(x.shape) times other inputs")
        let rows = x.rows
        // One allocation holds all results while the loop runs; arrays are made of its parts.
        let total = matrices.reduce(0) { $0 + $1.outputs }
        return withUnsafeTemporaryAllocation(of: Float.self, capacity: rows * total) { buffer in
            guard let start = buffer.baseAddress else { return [] }
            var places: [SharedPointer<Float>] = []
            var next = start
            for matrix in matrices {
                places.append(SharedPointer(next))
                next += rows * matrix.outputs
            }
            x.values.withUnsafeBufferPointer { source in
                if let a = source.baseAddress {
                    QuantizedBlocks.multiply(
                        matrices.compactMap(\.blocks), rows: rows, from: a, into: places)
                }
            }
            return zip(matrices, places).map { matrix, place in
                let values = UnsafeBufferPointer(start: place.base, count: rows * matrix.outputs)
                return Tensor(shape: [rows, matrix.outputs], values: Array(values))
            }
        }
    }
}

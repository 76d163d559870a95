// Dense fp32 tensors with value semantics. Sequences are channels-last everywhere: [T, C], time
// first; transposes happen only where a file or a conformance case wants [C, T].

import Kernels

/// A contiguous row-major fp32 tensor.
public struct Tensor: Sendable, Equatable {
    /// Extents, outermost first.
    public var shape: [Int]
    /// The elements; `shape` multiplied together gives their count.
    public var values: [Float]

    /// Wraps values; their count must be the product of the shape.
    public init(shape: [Int], values: [Float]) {
        precondition(shape.reduce(1, *) == values.count, "shape \(shape) is not \(values.count)")
        self.shape = shape
        self.values = values
    }

    /// A tensor of zeros.
    public init(zeros shape: [Int]) {
        self.shape = shape
        values = [Float](repeating: 0, count: shape.reduce(1, *))
    }

    /// Product of all extents but the last.
    public var rows: Int { shape.dropLast().reduce(1, *) }

    /// The last extent.
    public var columns: Int { shape.last ?? 1 }

    /// The element at a row and column, all leading axes flattened into rows.
    public subscript(row: Int, column: Int) -> Float {
        get { values[row * columns + column] }
        set { values[row * columns + column] = newValue }
    }

    /// One row.
    public func row(_ index: Int) -> [Float] {
        Array(values[index * columns..<(index + 1) * columns])
    }

    /// A range of rows as a [count, columns] tensor.
    public func rows(_ range: Range<Int>) -> Tensor {
        Tensor(
            shape: [range.count, columns],
            values: Array(values[range.lowerBound * columns..<range.upperBound * columns]))
    }

    /// A range of columns as a [rows, count] tensor.
    public func columns(_ range: Range<Int>) -> Tensor {
        var result: [Float] = []
        result.reserveCapacity(rows * range.count)
        for row in 0..<rows {
            let start = row * columns
            result += values[start + range.lowerBound..<start + range.upperBound]
        }
        return Tensor(shape: [rows, range.count], values: result)
    }

    /// The transpose of a matrix; leading axes are flattened into rows.
    public func transposed() -> Tensor {
        let (height, width) = (rows, columns)
        let result = [Float](unsafeUninitializedCapacity: values.count) { buffer, count in
            values.withUnsafeBufferPointer { source in
                for block in stride(from: 0, to: height, by: 16) {
                    for column in 0..<width {
                        for row in block..<min(block + 16, height) {
                            buffer[column * height + row] = source[row * width + column]
                        }
                    }
                }
            }
            count = height * width
        }
        return Tensor(shape: [width, height], values: result)
    }

    /// The same elements under another shape of the same size.
    public func reshaped(_ shape: [Int]) -> Tensor {
        Tensor(shape: shape, values: values)
    }

    /// Stacks matrices of one width below each other (along time).
    public static func concatenatedRows(_ parts: [Tensor]) -> Tensor {
        let columns = parts.first?.columns ?? 0
        var values: [Float] = []
        values.reserveCapacity(parts.reduce(0) { $0 + $1.values.count })
        for part in parts {
            precondition(part.columns == columns, "\(part.columns) columns beside \(columns)")
            values += part.values
        }
        return Tensor(shape: [parts.reduce(0) { $0 + $1.rows }, columns], values: values)
    }

    /// Puts matrices of one height beside each other (along channels).
    public static func concatenatedColumns(_ parts: [Tensor]) -> Tensor {
        let rows = parts.first?.rows ?? 0
        let columns = parts.reduce(0) { $0 + $1.columns }
        var values: [Float] = []
        values.reserveCapacity(rows * columns)
        for row in 0..<rows {
            for part in parts {
                values += part.values[row * part.columns..<(row + 1) * part.columns]
            }
        }
        return Tensor(shape: [rows, columns], values: values)
    }

    /// Element-wise sum of two tensors of one size.
    public static func + (left: Tensor, right: Tensor) -> Tensor {
        var result = left
        result += right
        return result
    }

    /// Adds a tensor of the same size.
    public static func += (left: inout Tensor, right: Tensor) {
        precondition(left.values.count == right.values.count, "\(left.shape) + \(right.shape)")
        let count = left.values.count
        left.values.withUnsafeMutableBufferPointer { target in
            right.values.withUnsafeBufferPointer { source in
                guard let target = target.baseAddress.map({ SharedPointer($0) }),
                    let source = source.baseAddress.map({ SharedReadPointer($0) })
                else { return }
                Parallel.forEachRange(count, grain: 32_768) { range in
                    sa_add(
                        target.base + range.lowerBound, source.base + range.lowerBound, range.count)
                }
            }
        }
    }

    /// Adds one vector of `columns` values to every row.
    public mutating func add(toEveryRow vector: [Float]) {
        precondition(vector.count == columns, "\(vector.count) values for \(columns) columns")
        let (rows, columns) = (rows, columns)
        values.withUnsafeMutableBufferPointer { target in
            vector.withUnsafeBufferPointer { source in
                guard let target = target.baseAddress.map({ SharedPointer($0) }),
                    let source = source.baseAddress.map({ SharedReadPointer($0) })
                else { return }
                Parallel.forEachRange(rows, grain: max(1, 32_768 / max(1, columns))) { range in
                    for row in range {
                        sa_add(target.base + row * columns, source.base, columns)
                    }
                }
            }
        }
    }

    /// Multiplies every element.
    public mutating func scale(by factor: Float) {
        let count = values.count
        values.withUnsafeMutableBufferPointer { target in
            guard let target = target.baseAddress.map({ SharedPointer($0) }) else { return }
            Parallel.forEachRange(count, grain: 32_768) { range in
                sa_scale(target.base + range.lowerBound, factor, range.count)
            }
        }
    }
}

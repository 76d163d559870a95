// Views of matrices in memory that somebody else owns: what fused layers read and write without
// allocating anything.

import Kernels

/// Rows of floats: [count, columns], `stride` floats from row to row.
///
/// The owner keeps the memory alive and the parts that threads write disjoint.
package struct Rows: @unchecked Sendable {
    // Sendable because every task of a loop writes its own rows only.
    package let base: UnsafeMutablePointer<Float>
    package let count: Int
    package let columns: Int
    package let stride: Int

    package init(
        _ base: UnsafeMutablePointer<Float>, count: Int, columns: Int, stride: Int? = nil
    ) {
        self.base = base
        self.count = count
        self.columns = columns
        self.stride = stride ?? columns
    }

    /// The address of a row.
    package func row(_ index: Int) -> UnsafeMutablePointer<Float> { base + index * stride }

    /// Some of the rows.
    package func rows(_ range: Range<Int>) -> Rows {
        Rows(row(range.lowerBound), count: range.count, columns: columns, stride: stride)
    }

    /// Some of the columns.
    package func columns(_ range: Range<Int>) -> Rows {
        Rows(base + range.lowerBound, count: count, columns: range.count, stride: stride)
    }

    /// Adds rows of the same size.
    package func add(_ other: Rows) {
        for index in 0..<count {
            sa_add(row(index), other.row(index), columns)
        }
    }

    /// Multiplies each row with a value of its own.
    package func scale(by factors: UnsafePointer<Float>) {
        for index in 0..<count {
            sa_scale(row(index), factors[index], columns)
        }
    }

    /// Copies rows of the same size.
    package func copy(_ other: Rows) {
        for index in 0..<count {
            row(index).update(from: other.row(index), count: columns)
        }
    }

    /// mish(x * scale + shift) + offset in place, one of each a column.
    package func normalizeAndMish(scale: [Float], shift: [Float], offset: [Float]? = nil) {
        if let offset {
            sa_scale_shift_mish(base, count, columns, stride, scale, shift, offset)
        } else {
            sa_scale_shift_mish(base, count, columns, stride, scale, shift, nil)
        }
    }

    /// Adds each column's sum, then its sum of squares, to `sums` [2 columns]; rows without gaps.
    package func addMoments(to sums: UnsafeMutablePointer<Double>) {
        precondition(stride == columns, "rows \(stride) apart, \(columns) columns")
        sa_column_moments(base, count, columns, sums, sums + columns)
    }
}

/// Memory of one owner, handed out in pieces and freed together.
package final class Workspace {
    private var blocks: [UnsafeMutableRawPointer] = []

    package init() {}

    /// `count` values that are zero, 64-byte aligned.
    package func values<Value: BitwiseCopyable>(
        _ count: Int, of zero: Value
    ) -> UnsafeMutablePointer<Value> {
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: max(1, count) * MemoryLayout<Value>.stride, alignment: 64)
        blocks.append(block)
        return block.initializeMemory(as: Value.self, repeating: zero, count: count)
    }

    /// A matrix of zeros.
    package func rows(_ count: Int, _ columns: Int) -> Rows {
        Rows(values(count * columns, of: Float(0)), count: count, columns: columns)
    }

    deinit {
        for block in blocks {
            block.deallocate()
        }
    }
}

extension Tensor {
    /// Calls `body` with a view of the rows that must only be read.
    package func withRows<R>(_ body: (Rows) throws -> R) rethrows -> R {
        let (count, columns) = (rows, columns)
        return try values.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else {
                // An empty tensor has no address; nothing is read then.
                var nothing: Float = 0
                return try withUnsafeMutablePointer(to: &nothing) {
                    try body(Rows($0, count: count, columns: columns))
                }
            }
            return try body(
                Rows(UnsafeMutablePointer(mutating: base), count: count, columns: columns))
        }
    }

    /// A tensor of which `fill` writes every element.
    package static func filled(
        _ shape: [Int], _ fill: (Rows) throws -> Void
    ) rethrows -> Tensor {
        let total = shape.reduce(1, *)
        let columns = shape.last ?? 1
        let values = try [Float](unsafeUninitializedCapacity: total) { buffer, count in
            if total > 0, let base = buffer.baseAddress {
                try fill(Rows(base, count: total / columns, columns: columns))
            }
            count = total
        }
        return Tensor(shape: shape, values: values)
    }
}

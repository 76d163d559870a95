// Vector quantisation: the nearest codebook entry of every frame by Euclidean distance, ties to the
// lowest index. Input [T, width], output T codes.

import TensorCore

/// A table of centroids.
///
/// Distances come from one fp32 matrix product (|e|^2 - 2 x.e); where the best entries lie within
/// that product's rounding error of each other, their distances are taken again in double precision,
/// so a code does not depend on the kernel that ran.
public struct Codebook: Sendable {
    /// Number of entries.
    public let count: Int
    /// Values of an entry.
    public let width: Int
    private let entries: WeightMatrix
    private let squaredNorms: [Float]
    private let largestSquaredNorm: Double

    /// Makes a table from `count` rows of `width` values.
    public init(count: Int, width: Int, values: [Float]) {
        precondition(values.count == count * width, "\(values.count) values")
        self.count = count
        self.width = width
        entries = WeightMatrix(outputs: count, inputs: width, values: values)
        let norms = (0..<count).map { row in
            values[row * width..<(row + 1) * width].reduce(0.0) { $0 + Double($1) * Double($1) }
        }
        squaredNorms = norms.map { Float($0) }
        largestSquaredNorm = norms.max() ?? 0
    }

    /// The code of every row of a [T, width] tensor.
    public func nearest(_ x: Tensor) -> [Int] {
        guard x.rows > 0, count > 0 else { return [] }
        var scores = entries.multiply(x)
        scores.scale(by: -2)
        scores.add(toEveryRow: squaredNorms)
        return (0..<x.rows).map { row in
            let frame = x.values[row * width..<(row + 1) * width]
            let squaredNorm = frame.reduce(0.0) { $0 + Double($1) * Double($1) }
            let margin = Float(1e-5 * (squaredNorm + largestSquaredNorm))
            return scores.values.withUnsafeBufferPointer { buffer in
                let distances = UnsafeBufferPointer(
                    rebasing: buffer[row * count..<(row + 1) * count])
                return nearest(frame, distances: distances, margin: margin)
            }
        }
    }

    private func nearest(
        _ frame: ArraySlice<Float>, distances: UnsafeBufferPointer<Float>, margin: Float
    ) -> Int {
        var best = 0
        for code in 1..<max(1, distances.count) where distances[code] < distances[best] {
            best = code
        }
        let limit = distances[best] + margin
        let candidates = distances.indices.filter { distances[$0] <= limit }
        guard candidates.count > 1 else { return best }
        var smallest = Double.infinity
        for code in candidates {
            let distance = zip(frame, entries.row(code)).reduce(0.0) { sum, pair in
                let difference = Double(pair.0) - Double(pair.1)
                return sum + difference * difference
            }
            if distance < smallest {
                (smallest, best) = (distance, code)
            }
        }
        return best
    }
}

// int8 and int4 weights at every instruction-set level: products against plain sums over the rounded
// numbers, rounding errors against their bounds, and the same bits whatever stands beside a row.

import Foundation
import Kernels
import Testing

import TensorCore

/// Runs `body` once per level this processor has.
private func forEachLevel(_ body: (Int32) throws -> Void) rethrows {
    defer { sa_set_level(-1) }
    for level in 0...sa_best_level() {
        sa_set_level(level)
        try body(level)
    }
}

@Suite struct QuantizedTests {
    struct Shape: Sendable, CustomStringConvertible {
        let m: Int, n: Int, k: Int
        var description: String { "\(m)x\(n)x\(k)" }
    }

    static let shapes = [
        Shape(m: 1, n: 1, k: 1), Shape(m: 2, n: 37, k: 65), Shape(m: 5, n: 17, k: 31),
        Shape(m: 7, n: 48, k: 96), Shape(m: 33, n: 70, k: 257), Shape(m: 131, n: 150, k: 70),
    ]

    private static func distance(_ a: [Float], _ b: [Float]) -> Double {
        let error = zip(a, b).reduce(0) { $0 + pow(Double($1.0 - $1.1), 2) }
        let power = b.reduce(0) { $0 + pow(Double($1), 2) }
        return (error / max(power, 1e-30)).squareRoot()
    }

    @Test(arguments: shapes, [WeightPrecision.int8, .int4])
    func productsEqualPlainSums(shape: Shape, precision: WeightPrecision) {
        var random = SeededGenerator(seed: 11)
        let (m, n, k) = (shape.m, shape.n, shape.k)
        let x = Tensor(shape: [m, k], values: random.normals(m * k))
        let bias = random.normals(n)
        let values = random.normals(n * k)
        let group = Int(SA_BLOCK_INPUTS)
        let blocks = (k + group - 1) / group
        forEachLevel { level in
            let matrix = WeightMatrix(outputs: n, inputs: k, values: values, precision: precision)
            let weights = (0..<n).map(matrix.row)
            var rounded = [Int8](repeating: 0, count: m * blocks * group)
            var scales = [Float](repeating: 0, count: m * blocks)
            var offsets = [Int32](repeating: 0, count: m * blocks)
            for row in 0..<m {
                let first = row * blocks
                rounded.withUnsafeMutableBufferPointer { values in
                    scales.withUnsafeMutableBufferPointer { scales in
                        offsets.withUnsafeMutableBufferPointer { offsets in
                            sa_quantise_rows(
                                0, 1, 1, k, x.row(row), k,
                                values.baseAddress.map { $0 + first * group },
                                scales.baseAddress.map { $0 + first },
                                offsets.baseAddress.map { $0 + first })
                        }
                    }
                }
            }
            let y = matrix.multiply(x, bias: bias)
            for row in 0..<m {
                for output in 0..<n {
                    var sum = Double(bias[output])
                    for p in 0..<k {
                        let block = row * blocks + p / group
                        sum +=
                            Double(rounded[block * group + p % group]) * Double(scales[block])
                            * Double(weights[output][p])
                    }
                    #expect(
                        abs(sum - Double(y[row, output])) < 2e-5 * Double(k).squareRoot() + 1e-6,
                        "row \(row), output \(output), level \(level)")
                }
            }
        }
    }

    @Test func severalProductsAtOnceEqualOneAfterTheOther() {
        var random = SeededGenerator(seed: 14)
        let k = 97
        let matrices = [(40, WeightPrecision.int4), (7, .int8), (131, .int4)].map { n, precision in
            WeightMatrix(
                outputs: n, inputs: k, values: random.normals(n * k), precision: precision)
        }
        let plain = WeightMatrix(outputs: 9, inputs: k, values: random.normals(9 * k))
        defer { Parallel.setThreadCount(0) }
        for rows in [1, 5, 67] {
            let x = Tensor(shape: [rows, k], values: random.normals(rows * k))
            for threads in [1, 3] {
                Parallel.setThreadCount(threads)
                for some in [matrices, matrices + [plain]] {
                    let together = WeightMatrix.products(x, some)
                    #expect(together == some.map { $0.multiply(x) }, "\(rows) rows")
                }
            }
        }
    }

    @Test func roundingStaysWithinItsBounds() {
        var random = SeededGenerator(seed: 12)
        let (n, k) = (33, 320)
        let values = random.normals(n * k)
        forEachLevel { _ in
            for (precision, bound) in [(WeightPrecision.int8, 0.008), (.int4, 0.11)] {
                let matrix = WeightMatrix(
                    outputs: n, inputs: k, values: values, precision: precision)
                let read = (0..<n).flatMap(matrix.row)
                #expect(Self.distance(read, values) < bound)
                #expect(Self.distance(read, values) > bound / 10)
            }
        }
    }

    @Test func largestAndSmallestNumbersSurvive() {
        // Every sum of 16-bit halves is at its largest; a kernel that overflows gives another sign.
        let k = 64
        let values = [Float](repeating: -1, count: 16 * k) + [Float](repeating: 1, count: 16 * k)
        let x = Tensor(shape: [1, k], values: [Float](repeating: 3, count: k))
        forEachLevel { level in
            for precision in [WeightPrecision.int8, .int4] {
                let matrix = WeightMatrix(
                    outputs: 32, inputs: k, values: values, precision: precision)
                let y = matrix.multiply(x)
                for output in 0..<32 {
                    let wanted: Float = output < 16 ? -192 : 192
                    #expect(
                        abs(y[0, output] - wanted) < 2, "\(precision), level \(level): \(output)")
                }
            }
        }
    }

    @Test func notANumberIsNotRoundedAway() {
        var values = [Float](repeating: 1, count: 64)
        values[40] = .nan
        let matrix = WeightMatrix(
            outputs: 3, inputs: 64, values: [Float](repeating: 0.5, count: 192), precision: .int8)
        let result = matrix.multiply(Tensor(shape: [1, 64], values: values)).values
        #expect(result.filter(\.isNaN).count == 3)
    }

    @Test(arguments: WeightPrecision.allCases)
    func rowsDoNotDependOnTheirNeighbours(precision: WeightPrecision) {
        var random = SeededGenerator(seed: 13)
        let (n, k) = (101, 600)
        let matrix = WeightMatrix(
            outputs: n, inputs: k, values: random.normals(n * k), precision: precision)
        let bias = random.normals(n)
        let x = Tensor(shape: [70, k], values: random.normals(70 * k))
        defer { Parallel.setThreadCount(0) }
        forEachLevel { level in
            Parallel.setThreadCount(1)
            let all = matrix.multiply(x, bias: bias)
            for (threads, count) in [(1, 1), (3, 1), (2, 2), (3, 6), (1, 13), (2, 33), (3, 70)] {
                Parallel.setThreadCount(threads)
                let part = matrix.multiply(x.rows(70 - count..<70), bias: bias)
                #expect(
                    part == all.rows(70 - count..<70),
                    "\(count) rows, \(threads) threads, level \(level)")
            }
            // A range of outputs, starting and ending inside a tile.
            var some = [Float](repeating: 0, count: 2 * 50)
            x.values.withUnsafeBufferPointer { source in
                some.withUnsafeMutableBufferPointer { target in
                    if let a = source.baseAddress, let c = target.baseAddress {
                        matrix.multiply(rows: 2, from: a, into: c, bias: bias, outputRange: 21..<71)
                    }
                }
            }
            for row in 0..<2 {
                #expect(Array(some[row * 50..<row * 50 + 50]) == Array(all.row(row)[21..<71]))
            }
        }
    }
}

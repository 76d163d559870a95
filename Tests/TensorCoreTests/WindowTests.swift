// The product kernel on packed weights, at every instruction-set level, against plain sums in double
// precision on random odd shapes; and attention on packed keys against its definition.

import Foundation
import Kernels
import Testing

import TensorCore

@Suite struct WindowTests {
    struct Shape: Sendable, CustomStringConvertible {
        let rows: Int, channels: Int, outputs: Int
        var taps = 1, dilation = 1, step = 1, first = 0
        var windows: Int { (rows - 2 * first - dilation * (taps - 1) - 1) / step + 1 }
        var description: String {
            "\(rows)x\(channels) to \(outputs), taps \(taps) / \(dilation), step \(step), \(first)"
        }
    }

    static let shapes = [
        Shape(rows: 1, channels: 1, outputs: 1), Shape(rows: 7, channels: 33, outputs: 16),
        Shape(rows: 101, channels: 515, outputs: 17), Shape(rows: 13, channels: 1100, outputs: 131),
        Shape(rows: 50, channels: 19, outputs: 24, taps: 3, first: -1),
        Shape(rows: 203, channels: 5, outputs: 31, taps: 11, dilation: 5, first: -25),
        Shape(rows: 64, channels: 90, outputs: 40, taps: 4, dilation: 2, step: 3, first: -2),
        Shape(rows: 2, channels: 8, outputs: 9, taps: 7, first: -3),
    ]

    @Test(arguments: shapes) func windowsEqualPlainSums(shape: Shape) {
        var random = SeededGenerator(seed: 11)
        let (inputs, count) = (shape.taps * shape.channels, shape.windows)
        let (stride, target) = (shape.channels + 4, shape.outputs + 3)
        let x = random.normals(shape.rows * stride)
        let weight = random.normals(shape.outputs * inputs)
        let (bias, alpha) = (random.normals(shape.outputs), random.normals(shape.outputs))
        let more = random.normals(count * target)
        var sums = [Double](repeating: 0, count: count * shape.outputs)
        for i in 0..<count {
            for o in 0..<shape.outputs {
                var sum = Double(bias[o])
                for tap in 0..<shape.taps {
                    let row = shape.first + i * shape.step + tap * shape.dilation
                    guard (0..<shape.rows).contains(row) else { continue }
                    for c in 0..<shape.channels {
                        sum +=
                            Double(x[row * stride + c])
                            * Double(weight[o * inputs + tap * shape.channels + c])
                    }
                }
                sums[i * shape.outputs + o] = sum
            }
        }
        let functions: [(Int32, (Double, Double) -> Double)] = [
            (-1, { x, _ in x }), (Int32(SA_RELU.rawValue), { x, _ in max(x, 0) }),
            (Int32(SA_GELU.rawValue), { x, _ in 0.5 * x * (1 + erf(x / 2.0.squareRoot())) }),
            (Int32(SA_MISH.rawValue), { x, _ in x * tanh(log1p(exp(x))) }),
            (Int32(SA_SNAKE.rawValue), { x, a in x + pow(sin(a * x), 2) / (a + 1e-9) }),
        ]
        let best = sa_best_level()
        defer { sa_set_level(-1) }
        for level in 0...best {
            sa_set_level(level)
            var panels = [Float](
                repeating: .nan, count: (shape.outputs + 15) / 16 * 16 * inputs)
            sa_pack_panels(shape.outputs, inputs, weight, inputs, 1, &panels)
            for (function, definition) in functions {
                for adds in [false, true] {
                    var all = [Float](repeating: .nan, count: count * target)
                    var parts = all
                    func run(
                        _ result: inout [Float], _ from: Int, _ count: Int, inPlace: Bool = false
                    ) {
                        x.withUnsafeBufferPointer { x in
                            more.withUnsafeBufferPointer { more in
                                result.withUnsafeMutableBufferPointer { result in
                                    bias.withUnsafeBufferPointer { bias in
                                        alpha.withUnsafeBufferPointer { alpha in
                                            panels.withUnsafeBufferPointer { panels in
                                                var job = sa_windows()
                                                job.input = x.baseAddress
                                                (job.rows, job.channels) = (
                                                    shape.rows, shape.channels
                                                )
                                                job.stride = stride
                                                (job.taps, job.dilation) = (
                                                    shape.taps, shape.dilation
                                                )
                                                (job.step, job.first) = (shape.step, shape.first)
                                                job.panels = panels.baseAddress
                                                job.outputs = shape.outputs
                                                job.bias = bias.baseAddress
                                                job.alpha = alpha.baseAddress
                                                job.function = function
                                                job.addend = adds ? more.baseAddress : nil
                                                if inPlace {
                                                    job.addend = UnsafePointer(result.baseAddress)
                                                }
                                                job.addend_stride = target
                                                job.output = result.baseAddress
                                                job.output_stride = target
                                                sa_windows(&job, from, count)
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                    run(&all, 0, count)
                    var worst = 0.0
                    for i in 0..<count {
                        for o in 0..<shape.outputs {
                            var expected = definition(
                                sums[i * shape.outputs + o], Double(alpha[o]))
                            if adds { expected += Double(more[i * target + o]) }
                            let error = abs(Double(all[i * target + o]) - expected)
                            // Snake's slope is up to 2, and large arguments lose digits.
                            worst = max(worst, error / (1 + abs(sums[i * shape.outputs + o])))
                        }
                    }
                    #expect(
                        worst < 1e-5 * Double(inputs).squareRoot() + 1e-5,
                        "function \(function) at level \(level): \(worst)")
                    #expect(
                        (0..<count).allSatisfy { i in
                            (shape.outputs..<target).allSatisfy { all[i * target + $0].isNaN }
                        }, "wrote past a row at level \(level)")
                    if adds, function < 0 {
                        var sums = more
                        run(&sums, 0, count, inPlace: true)
                        #expect(
                            (0..<count).allSatisfy { i in
                                (0..<shape.outputs).allSatisfy {
                                    sums[i * target + $0] == all[i * target + $0]
                                }
                            }, "adding in place differs at level \(level)")
                    }
                    // The same bits row by row and in two uneven parts.
                    let cut = count / 3
                    run(&parts, 0, cut)
                    run(&parts, cut, count - cut)
                    var single = [Float](repeating: .nan, count: count * target)
                    for i in 0..<count {
                        run(&single, i, 1)
                    }
                    let places = (0..<count).flatMap { i in
                        (0..<shape.outputs).map { i * target + $0 }
                    }
                    #expect(places.allSatisfy { all[$0] == parts[$0] && all[$0] == single[$0] })
                }
            }
        }
    }

    @Test func packedProductsHaveTheBitsOfPlainOnes() {
        var random = SeededGenerator(seed: 12)
        for (rows, outputs, inputs) in [(1, 5, 7), (37, 48, 300), (200, 33, 129), (5, 700, 64)] {
            let weight = WeightMatrix(
                outputs: outputs, inputs: inputs, values: random.normals(outputs * inputs))
            let x = Tensor(shape: [rows, inputs], values: random.normals(rows * inputs))
            let bias = random.normals(outputs)
            #expect(Linear(weight: weight, bias: bias)(x) == weight.multiply(x, bias: bias))
        }
    }

    @Test(arguments: [(1, 1, 1), (5, 300, 7), (97, 50, 20), (48, 49, 64)])
    func attentionEqualsItsDefinition(queries: Int, keys: Int, width: Int) {
        var random = SeededGenerator(seed: 13)
        let heads = 3
        func tensor(_ rows: Int) -> Tensor {
            Tensor(
                shape: [rows, heads * width], values: random.normals(rows * heads * width))
        }
        let (query, key, value) = (tensor(queries), tensor(keys), tensor(keys))
        let result = attention(query: query, key: key, value: value, heads: heads, scale: 0.4)
        for head in 0..<heads {
            for i in 0..<queries {
                var weights = (0..<keys).map { j in
                    (0..<width).reduce(0.0) {
                        $0 + 0.4 * Double(query[i, head * width + $1])
                            * Double(key[j, head * width + $1])
                    }
                }
                let top = weights.max() ?? 0
                weights = weights.map { exp($0 - top) }
                let total = weights.reduce(0, +)
                for c in head * width..<(head + 1) * width {
                    let expected = (0..<keys).reduce(0.0) {
                        $0 + weights[$1] / total * Double(value[$1, c])
                    }
                    #expect(abs(Double(result[i, c]) - expected) < 2e-5)
                }
            }
        }
    }
}

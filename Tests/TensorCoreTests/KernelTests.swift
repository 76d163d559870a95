// Every instruction-set level of the kernels against plain loops in double precision, on random
// shapes that are not multiples of any vector or block.

import Foundation
import Kernels
import Testing

import TensorCore

/// Runs `body` once per level this processor has.
private func forEachLevel(_ body: (Int32) throws -> Void) rethrows {
    let best = sa_best_level()
    defer { sa_set_level(-1) }
    for level in 0...best {
        sa_set_level(level)
        try body(level)
    }
}

@Suite struct KernelTests {
    struct Shape: Sendable, CustomStringConvertible {
        let m: Int, n: Int, k: Int
        var description: String { "\(m)x\(n)x\(k)" }
    }

    static let shapes = [
        Shape(m: 1, n: 1, k: 1), Shape(m: 1, n: 37, k: 65), Shape(m: 3, n: 130, k: 33),
        Shape(m: 5, n: 7, k: 3), Shape(m: 13, n: 33, k: 257), Shape(m: 101, n: 67, k: 300),
        Shape(m: 24, n: 550, k: 19), Shape(m: 200, n: 31, k: 515),
    ]

    @Test(arguments: shapes) func productsEqualPlainSums(shape: Shape) {
        var random = SeededGenerator(seed: 7)
        let (m, n, k) = (shape.m, shape.n, shape.k)
        let (aStride, cStride) = (k + 3, n + 5)
        let a = random.normals(m * aStride)
        let start = random.normals(m * cStride)
        let bias = random.normals(n)
        for layout in [MatrixProduct.Layout.outputsByInputs, .inputsByOutputs] {
            let isKN = layout == .inputsByOutputs
            let bStride = (isKN ? n : k) + 2
            let b = random.normals((isKN ? k : n) * bStride)
            let half = b.map(WeightMatrix.roundToBFloat16)
            let widened = half.map { Float(bitPattern: UInt32($0) << 16) }
            for isHalf in [false, true] {
                for accumulate in [false, true] {
                    forEachLevel { level in
                        var c = start
                        let type = Int32(isHalf ? SA_BFLOAT16.rawValue : SA_FLOAT32.rawValue)
                        if isHalf {
                            sa_gemm(
                                m, n, k, a, aStride, half, bStride, type, isKN, &c, cStride, 0.5,
                                accumulate, bias)
                        } else {
                            sa_gemm(
                                m, n, k, a, aStride, b, bStride, type, isKN, &c, cStride, 0.5,
                                accumulate, bias)
                        }
                        let weights = isHalf ? widened : b
                        var worst = 0.0
                        for i in 0..<m {
                            for j in 0..<n {
                                var sum = 0.0
                                for p in 0..<k {
                                    let w =
                                        isKN ? weights[p * bStride + j] : weights[j * bStride + p]
                                    sum += Double(a[i * aStride + p]) * Double(w)
                                }
                                sum = sum * 0.5 + Double(bias[j])
                                if accumulate { sum += Double(start[i * cStride + j]) }
                                worst = max(worst, abs(sum - Double(c[i * cStride + j])))
                            }
                        }
                        #expect(worst < 3e-5 * Double(k).squareRoot() + 1e-6, "level \(level)")
                        let untouched = (0..<m).allSatisfy { i in
                            (n..<cStride).allSatisfy {
                                c[i * cStride + $0] == start[i * cStride + $0]
                            }
                        }
                        #expect(untouched, "wrote past a row at level \(level)")
                        // The last row alone has the same bits.
                        let last = (m - 1) * cStride
                        var alone = Array(start[last...])
                        let row = Array(a[((m - 1) * aStride)...])
                        if isHalf {
                            sa_gemm(
                                1, n, k, row, aStride, half, bStride, type, isKN, &alone, cStride,
                                0.5, accumulate, bias)
                        } else {
                            sa_gemm(
                                1, n, k, row, aStride, b, bStride, type, isKN, &alone, cStride,
                                0.5, accumulate, bias)
                        }
                        #expect(alone == Array(c[last...]), "level \(level)")
                    }
                }
            }
        }
    }

    @Test func functionsEqualTheirDefinitions() {
        let inputs = (-400...400).map { Float($0) * 0.06 } + [0, 1e-4, -1e-4, 30, -30, 87]
        let cases: [(Activation, (Double) -> Double)] = [
            (.relu, { max($0, 0) }), (.leakyReLU(0.1), { $0 > 0 ? $0 : 0.1 * $0 }),
            (.elu, { $0 > 0 ? $0 : exp($0) - 1 }), (.silu, { $0 / (1 + exp(-$0)) }),
            (.gelu, { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }),
            (.mish, { $0 * tanh(log1p(exp($0))) }), (.sigmoid, { 1 / (1 + exp(-$0)) }),
            (.tanh, { tanh($0) }),
        ]
        for (activation, definition) in cases {
            forEachLevel { level in
                let result = Tensor(shape: [inputs.count], values: inputs).applying(activation)
                for (input, value) in zip(inputs, result.values) {
                    let expected = definition(Double(input))
                    let bound = 4e-7 * max(1, abs(Double(input)))
                    #expect(
                        abs(Double(value) - expected) < bound,
                        "\(activation)(\(input)) = \(value) at level \(level)")
                }
            }
        }
    }

    @Test func snakeIsPeriodicInTheSquareOfTheSine() {
        let inputs = (0..<210).map { Float($0 - 105) * 0.37 }
        let alpha: [Float] = [0.1, 1, 7.5]
        forEachLevel { level in
            var tensor = Tensor(shape: [70, 3], values: inputs)
            tensor.applySnake(alpha: alpha)
            for index in inputs.indices {
                let (x, a) = (Double(inputs[index]), Double(alpha[index % 3]))
                let expected = x + pow(sin(a * x), 2) / (a + 1e-9)
                #expect(abs(Double(tensor.values[index]) - expected) < 2e-5, "level \(level)")
            }
        }
    }

    @Test func softmaxIgnoresMaskedEntries() {
        forEachLevel { _ in
            var tensor = Tensor(
                shape: [2, 3], values: [1, 2, -.infinity, 1000, -.infinity, 1000])
            tensor.applySoftmax()
            let expected: [Float] = [0.26894143, 0.7310586, 0, 0.5, 0, 0.5]
            for (value, wanted) in zip(tensor.values, expected) {
                #expect(abs(value - wanted) < 1e-6)
            }
        }
    }

    @Test func normsEqualTheirDefinitions() {
        var random = SeededGenerator(seed: 3)
        let (rows, columns) = (5, 77)
        let x = Tensor(
            shape: [rows, columns], values: random.normals(rows * columns).map { $0 + 2 })
        let weight = random.normals(columns)
        let bias = random.normals(columns)
        forEachLevel { level in
            let layer = LayerNorm(weight: weight, bias: bias, epsilon: 1e-5)(x)
            let rms = RMSNorm(weight: weight, epsilon: 1e-5)(x)
            for r in 0..<rows {
                let row = x.row(r).map(Double.init)
                let mean = row.reduce(0, +) / Double(columns)
                let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
                let power = row.reduce(0) { $0 + $1 * $1 } / Double(columns)
                for c in 0..<columns {
                    let normed = (row[c] - mean) / (variance + 1e-5).squareRoot()
                    let wanted = normed * Double(weight[c]) + Double(bias[c])
                    #expect(abs(Double(layer[r, c]) - wanted) < 1e-5, "level \(level)")
                    let scaled = row[c] / (power + 1e-5).squareRoot() * Double(weight[c])
                    #expect(abs(Double(rms[r, c]) - scaled) < 1e-5, "level \(level)")
                }
            }
        }
    }
}

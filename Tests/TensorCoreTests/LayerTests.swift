// Layers against hand-made arithmetic and plain definitions.

import Testing

import TensorCore

struct LayerTests {
    @Test func transposeAndSlicesKeepElements() {
        let x = Tensor(shape: [2, 3], values: [1, 2, 3, 4, 5, 6])
        #expect(x.transposed().values == [1, 4, 2, 5, 3, 6])
        #expect(x.rows(1..<2).values == [4, 5, 6])
        #expect(x.columns(1..<3).values == [2, 3, 5, 6])
        #expect(Tensor.concatenatedRows([x, x]).shape == [4, 3])
        #expect(Tensor.concatenatedColumns([x, x]).values == [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6])
    }

    @Test func convolutionByHand() {
        // One channel, taps [1, 10, 100], padding 1: y[t] = x[t-1] + 10 x[t] + 100 x[t+1].
        let layer = Convolution1D(
            weight: [1, 10, 100], outputs: 1, inputs: 1, kernel: 3, bias: [0.5], padding: 1)
        let y = layer(Tensor(shape: [3, 1], values: [1, 2, 3]))
        #expect(y.values == [210.5, 321.5, 32.5])
    }

    struct Case: Sendable {
        let frames: Int, inputs: Int, outputs: Int, kernel: Int, stride: Int, padding: Int
        let dilation: Int
    }

    @Test(arguments: [
        Case(frames: 9, inputs: 3, outputs: 5, kernel: 3, stride: 1, padding: 1, dilation: 1),
        Case(frames: 50, inputs: 17, outputs: 33, kernel: 7, stride: 1, padding: 15, dilation: 5),
        Case(frames: 31, inputs: 8, outputs: 6, kernel: 16, stride: 8, padding: 4, dilation: 1),
        Case(frames: 20, inputs: 4, outputs: 3, kernel: 3, stride: 2, padding: 1, dilation: 2),
    ])
    func convolutionEqualsItsDefinition(_ c: Case) {
        var random = SeededGenerator(seed: 5)
        let x = Tensor(shape: [c.frames, c.inputs], values: random.normals(c.frames * c.inputs))
        let weight = random.normals(c.outputs * c.inputs * c.kernel)
        let bias = random.normals(c.outputs)
        let layer = Convolution1D(
            weight: weight, outputs: c.outputs, inputs: c.inputs, kernel: c.kernel, bias: bias,
            stride: c.stride, padding: c.padding, dilation: c.dilation)
        let y = layer(x)
        #expect(y.shape == [layer.outputLength(c.frames), c.outputs])
        for t in 0..<y.rows {
            for o in 0..<c.outputs {
                var sum = Double(bias[o])
                for j in 0..<c.kernel {
                    let source = t * c.stride + j * c.dilation - c.padding
                    guard (0..<c.frames).contains(source) else { continue }
                    for i in 0..<c.inputs {
                        sum +=
                            Double(x[source, i]) * Double(weight[(o * c.inputs + i) * c.kernel + j])
                    }
                }
                #expect(abs(Double(y[t, o]) - sum) < 1e-4)
            }
        }
    }

    @Test(arguments: [
        Case(frames: 4, inputs: 2, outputs: 3, kernel: 4, stride: 2, padding: 1, dilation: 1),
        Case(frames: 7, inputs: 5, outputs: 2, kernel: 16, stride: 8, padding: 4, dilation: 1),
        Case(frames: 3, inputs: 1, outputs: 1, kernel: 3, stride: 4, padding: 0, dilation: 1),
    ])
    func transposedConvolutionEqualsItsDefinition(_ c: Case) {
        var random = SeededGenerator(seed: 6)
        let x = Tensor(shape: [c.frames, c.inputs], values: random.normals(c.frames * c.inputs))
        let weight = random.normals(c.outputs * c.inputs * c.kernel)
        let bias = random.normals(c.outputs)
        let layer = TransposedConvolution1D(
            weight: weight, inputs: c.inputs, outputs: c.outputs, kernel: c.kernel, bias: bias,
            stride: c.stride, padding: c.padding)
        let length = (c.frames - 1) * c.stride - 2 * c.padding + c.kernel
        var expected = [Double](repeating: 0, count: length * c.outputs)
        for t in 0..<c.frames {
            for j in 0..<c.kernel {
                let target = t * c.stride + j - c.padding
                guard (0..<length).contains(target) else { continue }
                for o in 0..<c.outputs {
                    for i in 0..<c.inputs {
                        expected[target * c.outputs + o] +=
                            Double(x[t, i]) * Double(weight[(i * c.outputs + o) * c.kernel + j])
                    }
                }
            }
        }
        let y = layer(x)
        #expect(y.shape == [length, c.outputs])
        for index in expected.indices {
            let wanted = expected[index] + Double(bias[index % c.outputs])
            #expect(abs(Double(y.values[index]) - wanted) < 1e-4)
        }
    }

    @Test func groupNormTakesStatisticsOverTime() {
        // Two groups of one channel: each column is normalised over both frames.
        let x = Tensor(shape: [2, 2], values: [1, 10, 3, 30])
        let y = GroupNorm(groups: 2, weight: [1, 2], bias: [0, 1], epsilon: 0)(x)
        #expect(y.values == [-1, -1, 1, 3])
    }

    @Test func batchNormFoldsItsStatistics() {
        let norm = BatchNorm(weight: [2], bias: [1], mean: [3], variance: [4], epsilon: 0)
        #expect(norm(Tensor(shape: [2, 1], values: [3, 5])).values == [1, 3])
    }

    @Test func attentionAveragesValuesAndMapsGroups() {
        // Zero queries weigh all keys equally; heads 0 and 1 read group 0, heads 2 and 3 group 1.
        let query = Tensor(zeros: [2, 4])
        let key = Tensor(shape: [3, 2], values: [1, 2, 3, 4, 5, 6])
        let value = Tensor(shape: [3, 2], values: [1, 10, 2, 20, 3, 30])
        let y = attention(
            query: query, key: key, value: value, heads: 4, keyValueHeads: 2, scale: 1)
        for (value, wanted) in zip(y.values, [2, 2, 20, 20, 2, 2, 20, 20] as [Float]) {
            #expect(abs(value - wanted) < 1e-5)
        }
    }

    @Test func attentionAdjustmentSeesEveryQueryOnce() {
        var random = SeededGenerator(seed: 1)
        let (count, heads, width) = (205, 3, 5)
        let x = Tensor(
            shape: [count, heads * width], values: random.normals(count * heads * width))
        // A causal mask: the first row can only read itself, so it returns its own value.
        let y = attention(query: x, key: x, value: x, heads: heads, scale: 0.3) {
            _, rows, scores in
            for (index, row) in rows.enumerated() {
                for key in (row + 1)..<max(row + 1, scores.columns) {
                    scores.row(index)[key] = -.infinity
                }
            }
        }
        #expect(y.row(0).elementsEqual(x.row(0)) { abs($0 - $1) < 1e-6 })
        let shorter = attention(
            query: x.rows(0..<97), key: x.rows(0..<97), value: x.rows(0..<97), heads: heads,
            scale: 0.3
        ) { _, rows, scores in
            for (index, row) in rows.enumerated() {
                for key in (row + 1)..<max(row + 1, scores.columns) {
                    scores.row(index)[key] = -.infinity
                }
            }
        }
        #expect(
            shorter.row(96).elementsEqual(y.row(96)) { abs($0 - $1) < 1e-5 },
            "a causal row must not depend on later keys")
    }

    @Test func threadCountDoesNotChangeResults() {
        var random = SeededGenerator(seed: 2)
        let matrix = WeightMatrix(outputs: 301, inputs: 130, values: random.normals(301 * 130))
        let x = Tensor(shape: [77, 130], values: random.normals(77 * 130))
        let usual = matrix.multiply(x)
        Parallel.setThreadCount(1)
        defer { Parallel.setThreadCount(0) }
        #expect(matrix.multiply(x) == usual)
    }

    @Test func bf16MatrixRoundsToNearestEven() {
        let matrix = WeightMatrix(
            outputs: 1, inputs: 3, values: [1.00390625, 1.01171875, -2.5], precision: .bf16)
        #expect(matrix.row(0) == [1, 1.015625, -2.5])
        #expect(matrix.byteCount == 6)
    }

    @Test func halfPrecisionWidens() throws {
        let bits: [UInt16] = [0x3C00, 0xC000, 0x0001, 0x7C00, 0x8000, 0x3555]
        let storage = bits.withUnsafeBytes { TensorStorage(copying: $0) }
        let stored = try StoredTensor(
            name: "x", shape: [6], scalarType: .float16, storage: storage, byteOffset: 0)
        #expect(stored.floats() == [1, -2, 0x1p-24, .infinity, -0, 0.333251953125])
    }

    @Test func storedTensorsStayInsideTheirStorage() {
        let storage = TensorStorage(copying: [UInt8](repeating: 0, count: 7))
        #expect(throws: TensorError.outOfBounds(name: "x", needed: 8, available: 7)) {
            try StoredTensor(
                name: "x", shape: [2], scalarType: .float32, storage: storage, byteOffset: 0)
        }
        #expect(throws: TensorError.self) {
            try StoredTensor(
                name: "x", shape: [.max, 3], scalarType: .float32, storage: storage, byteOffset: 0)
        }
    }

    @Test func generatorRepeatsItselfAndHasUnitVariance() {
        var first = SeededGenerator(seed: 9)
        var second = SeededGenerator(seed: 9)
        let draws = first.normals(20_000)
        #expect(draws == second.normals(20_000))
        let mean = draws.reduce(0, +) / 20_000
        let variance = draws.reduce(0) { $0 + $1 * $1 } / 20_000
        #expect(abs(mean) < 0.03 && abs(variance - 1) < 0.05)
        var fork = first.fork("phase")
        #expect(fork.next() != second.next())
    }
}

// fp32 weight matrices in the order in which the product kernel reads them, packed once. A product takes
// windows of a sequence, so that convolutions need no copies either; its end can apply a function and add
// rows. The bits of an output row depend on its window only (Kernels/body_windows.h).

import Kernels

/// A matrix [outputs, inputs] in panels of 16 outputs.
public struct PackedMatrix: Sendable {
    /// Number of rows.
    public let outputs: Int
    /// Number of columns.
    public let inputs: Int
    private let storage: TensorStorage

    /// Packs weights of which (o, p) lies at `values[o * outputStride + p * inputStride]`.
    package init(
        outputs: Int, inputs: Int, values: UnsafePointer<Float>, outputStride: Int,
        inputStride: Int = 1
    ) {
        self.outputs = outputs
        self.inputs = inputs
        storage = TensorStorage(count: Self.floats(outputs, inputs) * 4) { bytes in
            guard let base = bytes.baseAddress, outputs > 0, inputs > 0 else { return }
            sa_pack_panels(
                outputs, inputs, values, outputStride, inputStride,
                base.assumingMemoryBound(to: Float.self))
        }
    }

    /// Packs row-major values.
    public init(outputs: Int, inputs: Int, values: [Float]) {
        precondition(values.count == outputs * inputs, "\(values.count) != \(outputs)x\(inputs)")
        // One value more: an empty array has no address.
        self = (values + [0]).withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return PackedMatrix() }
            return PackedMatrix(
                outputs: outputs, inputs: inputs, values: base, outputStride: inputs)
        }
    }

    private init() {
        (outputs, inputs, storage) = (0, 0, TensorStorage(zeros: 0))
    }

    /// Packs a matrix of any precision; a mapped file's pages are let go.
    public init(_ matrix: WeightMatrix) {
        guard matrix.precision == .fp32,
            let packed = matrix.withPointer({ weights in
                PackedMatrix(
                    outputs: matrix.outputs, inputs: matrix.inputs,
                    values: weights.assumingMemoryBound(to: Float.self),
                    outputStride: matrix.inputs)
            })
        else {
            self.init(
                outputs: matrix.outputs, inputs: matrix.inputs,
                values: (0..<matrix.outputs).flatMap(matrix.row))
            return
        }
        matrix.releasePages()
        self = packed
    }

    /// Outputs of one panel.
    package static let panel = Int(SA_PANEL)

    /// Floats of the panels of a matrix.
    package static func floats(_ outputs: Int, _ inputs: Int) -> Int {
        (outputs + panel - 1) / panel * panel * inputs
    }

    /// One weight.
    package subscript(output: Int, input: Int) -> Float {
        let place = (output / Self.panel * inputs + input) * Self.panel + output % Self.panel
        return storage.withBytes { $0.loadUnaligned(fromByteOffset: 4 * place, as: Float.self) }
    }

    /// output row i = end(window `windows.lowerBound + i` times the matrix), on the calling thread.
    ///
    /// Only the `outputRange` is computed and written when it is given; it begins with a panel.
    package func multiply(
        _ windows: Range<Int>, _ shape: WindowShape = .init(), of input: Rows, into output: Rows,
        bias: [Float]? = nil, end: ProductEnd = .init(), outputRange: Range<Int>? = nil
    ) {
        let range = outputRange ?? 0..<outputs
        WorkCounter.add(windows.count * range.count * inputs)
        storage.withBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            let panels = base.assumingMemoryBound(to: Float.self)
            Self.multiply(
                panels: panels + range.lowerBound * inputs, outputs: range, windows, shape,
                of: input, into: output, bias: bias, end: end)
        }
    }

    /// The same with panels that the caller packed; `outputs` are those of the bias that are meant.
    package static func multiply(
        panels: UnsafePointer<Float>, outputs: Range<Int>, _ windows: Range<Int>,
        _ shape: WindowShape = .init(), of input: Rows, into output: Rows, bias: [Float]? = nil,
        end: ProductEnd = .init()
    ) {
        guard !windows.isEmpty, !outputs.isEmpty else { return }
        var job = sa_windows()
        job.input = UnsafePointer(input.base)
        (job.rows, job.channels, job.stride) = (input.count, input.columns, input.stride)
        (job.taps, job.dilation, job.step) = (shape.taps, shape.dilation, shape.step)
        job.first = shape.first + windows.lowerBound * shape.step
        (job.panels, job.outputs) = (panels, outputs.count)
        (job.function, job.parameter) = end.code
        job.addend = end.addend.map { UnsafePointer($0.base) + outputs.lowerBound }
        job.addend_stride = end.addend?.stride ?? 0
        (job.output, job.output_stride) = (output.base + outputs.lowerBound, output.stride)
        Self.withAddress(bias) { bias in
            job.bias = bias.map { $0 + outputs.lowerBound }
            Self.withAddress(end.snake) { alpha in
                job.alpha = alpha.map { $0 + outputs.lowerBound }
                sa_windows(&job, 0, windows.count)
            }
        }
    }

    private static func withAddress(
        _ values: [Float]?, _ body: (UnsafePointer<Float>?) -> Void
    ) {
        if let values {
            values.withUnsafeBufferPointer { body($0.baseAddress) }
        } else {
            body(nil)
        }
    }

    /// `count` windows of a tensor on all cores: [count, outputs].
    func multiply(
        _ x: Tensor, count: Int, shape: WindowShape, bias: [Float]?, end: ProductEnd = .init()
    ) -> Tensor {
        Tensor.filled([count, outputs]) { output in
            x.withRows { input in
                if count * outputs * inputs < MatrixProduct.parallelThreshold {
                    multiply(0..<count, shape, of: input, into: output, bias: bias, end: end)
                } else if count >= 96 || outputs < 4 * Self.panel {
                    Parallel.forEachRange(count, grain: 48, partsPerThread: 8) { part in
                        var end = end
                        end.addend = end.addend?.rows(part)
                        multiply(
                            part, shape, of: input, into: output.rows(part), bias: bias, end: end)
                    }
                } else {
                    Parallel.forEachRange(outputs, grain: 2 * Self.panel, partsPerThread: 4) {
                        multiply(
                            0..<count, shape, of: input, into: output, bias: bias, end: end,
                            outputRange: $0)
                    }
                }
            }
        }
    }
}

/// Which rows of a sequence make a window: window i holds rows first + i step + t dilation for the taps t.
package struct WindowShape: Sendable {
    package var taps = 1
    package var dilation = 1
    package var step = 1
    package var first = 0

    package init(taps: Int = 1, dilation: Int = 1, step: Int = 1, first: Int = 0) {
        self.taps = taps
        self.dilation = dilation
        self.step = step
        self.first = first
    }
}

/// What a product does with its sums: a function, then rows that are added.
package struct ProductEnd: Sendable {
    package var activation: Activation?
    /// Snake with these alphas, in place of an activation.
    package var snake: [Float]?
    /// One row a window; without a function it may be the output.
    package var addend: Rows?

    package init(activation: Activation? = nil, snake: [Float]? = nil, addend: Rows? = nil) {
        self.activation = activation
        self.snake = snake
        self.addend = addend
    }

    fileprivate var code: (Int32, Float) {
        if snake != nil { return (Int32(SA_SNAKE.rawValue), 0) }
        guard let code = activation?.code else { return (-1, 0) }
        return (Int32(code.function), code.parameter)
    }
}

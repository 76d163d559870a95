// 1-D convolutions on channels-last sequences as products of windows with packed weights: rows of the
// input are read where they lie, without padding or im2col copies.

/// A convolution over time: [T, inputs] -> [T', outputs],
/// T' = (T + 2 padding - dilation (kernel - 1) - 1) / stride + 1.
public struct Convolution1D: Sendable {
    /// Channels out.
    public let outputs: Int
    /// Channels in.
    public let inputs: Int
    /// Taps.
    public let kernel: Int
    /// Step between windows.
    public let stride: Int
    /// Zeros before and after the sequence.
    public let padding: Int
    /// Distance between taps.
    public let dilation: Int
    private let weight: PackedMatrix  // [outputs, kernel * inputs]
    private let bias: [Float]?

    /// Makes the layer from weights laid out as [outputs, inputs, kernel].
    public init(
        weight: [Float], outputs: Int, inputs: Int, kernel: Int, bias: [Float]?, stride: Int = 1,
        padding: Int = 0, dilation: Int = 1
    ) {
        precondition(weight.count == outputs * inputs * kernel, "weights of another size")
        precondition(bias == nil || bias?.count == outputs, "bias of another size")
        self.outputs = outputs
        self.inputs = inputs
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.bias = bias
        var taps = [Float](repeating: 0, count: weight.count)
        for output in 0..<outputs {
            for input in 0..<inputs {
                for tap in 0..<kernel {
                    taps[(output * kernel + tap) * inputs + input] =
                        weight[(output * inputs + input) * kernel + tap]
                }
            }
        }
        self.weight = PackedMatrix(outputs: outputs, inputs: kernel * inputs, values: taps)
    }

    /// Number of output frames for `frames` input frames.
    public func outputLength(_ frames: Int) -> Int {
        max(0, (frames + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1)
    }

    /// The part of the layer that sees a range of the channels in, with or without the bias.
    package func restricted(toInputs range: Range<Int>, bias keepsBias: Bool) -> Convolution1D {
        var values: [Float] = []
        for output in 0..<outputs {
            for input in range {
                for tap in 0..<kernel {
                    values.append(weight[output, tap * inputs + input])
                }
            }
        }
        return Convolution1D(
            weight: values, outputs: outputs, inputs: range.count, kernel: kernel,
            bias: keepsBias ? bias : nil, stride: stride, padding: padding, dilation: dilation)
    }

    private var shape: WindowShape {
        WindowShape(taps: kernel, dilation: dilation, step: stride, first: -padding)
    }

    /// [T, inputs] -> [T', outputs], with a function of every element.
    public func callAsFunction(_ x: Tensor, _ activation: Activation? = nil) -> Tensor {
        run(x, end: ProductEnd(activation: activation))
    }

    /// The same with Snake at the end, one alpha an output.
    package func callAsFunction(_ x: Tensor, snake alpha: [Float]) -> Tensor {
        run(x, end: ProductEnd(snake: alpha))
    }

    /// [T, inputs] -> [T', outputs] added to `sum`.
    package func callAsFunction(_ x: Tensor, addedTo sum: Tensor) -> Tensor {
        precondition(sum.columns == outputs && sum.rows == outputLength(x.rows), "\(sum.shape)")
        return sum.withRows { run(x, end: ProductEnd(addend: $0)) }
    }

    private func run(_ x: Tensor, end: ProductEnd) -> Tensor {
        precondition(x.columns == inputs, "\(x.shape) into a convolution of \(inputs) channels")
        return weight.multiply(
            x, count: outputLength(x.rows), shape: shape, bias: bias, end: end)
    }

    /// A range of output rows on the calling thread; row `range.lowerBound + i` becomes row i.
    package func apply(
        _ range: Range<Int>, of input: Rows, into output: Rows, end: ProductEnd = .init()
    ) {
        weight.multiply(range, shape, of: input, into: output, bias: bias, end: end)
    }
}

/// A transposed convolution over time: [T, inputs] -> [T', outputs],
/// T' = (T - 1) stride - 2 padding + kernel.
///
/// Output rows that are `stride` apart see the same taps, so each such phase is a convolution of its own.
public struct TransposedConvolution1D: Sendable {
    /// Channels in.
    public let inputs: Int
    /// Channels out.
    public let outputs: Int
    /// Taps.
    public let kernel: Int
    /// Step between the windows written.
    public let stride: Int
    /// Frames cut off at both ends.
    public let padding: Int
    /// For each phase [outputs, taps * inputs], the tap that meets the earliest row first.
    private let phases: [PackedMatrix]
    private let bias: [Float]?

    /// Makes the layer from weights laid out as [inputs, outputs, kernel].
    public init(
        weight: [Float], inputs: Int, outputs: Int, kernel: Int, bias: [Float]?, stride: Int,
        padding: Int
    ) {
        precondition(weight.count == outputs * inputs * kernel, "weights of another size")
        precondition(bias == nil || bias?.count == outputs, "bias of another size")
        self.inputs = inputs
        self.outputs = outputs
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
        self.bias = bias
        phases = (0..<stride).map { phase in
            let taps = Array(Swift.stride(from: phase, to: kernel, by: stride).reversed())
            var values: [Float] = []
            values.reserveCapacity(outputs * taps.count * inputs)
            for output in 0..<outputs {
                for tap in taps {
                    for input in 0..<inputs {
                        values.append(weight[(input * outputs + output) * kernel + tap])
                    }
                }
            }
            return PackedMatrix(outputs: outputs, inputs: taps.count * inputs, values: values)
        }
    }

    /// Number of output frames for `frames` input frames.
    public func outputLength(_ frames: Int) -> Int {
        frames == 0 ? 0 : max(0, (frames - 1) * stride - 2 * padding + kernel)
    }

    /// [T, inputs] -> [T', outputs].
    public func callAsFunction(_ x: Tensor) -> Tensor {
        precondition(x.columns == inputs, "\(x.shape) into a convolution of \(inputs) channels")
        let frames = outputLength(x.rows)
        return Tensor.filled([frames, outputs]) { output in
            x.withRows { input in
                Parallel.forEachRange(frames, grain: 48 * stride, partsPerThread: 8) {
                    apply($0, of: input, into: output.rows($0))
                }
            }
        }
    }

    /// A range of output rows on the calling thread; row `range.lowerBound + i` becomes row i.
    package func apply(_ range: Range<Int>, of input: Rows, into output: Rows) {
        for (phase, weight) in phases.enumerated() {
            // The output rows of this phase are stride q + phase - padding.
            let first = (range.lowerBound + padding - phase + stride - 1) / stride
            let start = first * stride + phase - padding
            guard start < range.upperBound else { continue }
            let count = (range.upperBound - start + stride - 1) / stride
            let taps = inputs == 0 ? 0 : weight.inputs / inputs
            weight.multiply(
                0..<count, WindowShape(taps: taps, first: first - taps + 1), of: input,
                into: Rows(
                    output.row(start - range.lowerBound), count: count, columns: outputs,
                    stride: stride * output.stride),
                bias: bias)
        }
    }
}

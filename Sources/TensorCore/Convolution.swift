// 1-D convolutions on channels-last sequences as implicit matrix products: a window of a padded
// [T, C] sequence is contiguous, so a convolution is one product whose rows overlap (one product a
// tap when it is dilated). No im2col copy is made.

import Kernels

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
    private let weight: WeightMatrix  // [outputs, kernel * inputs]
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
        self.weight = WeightMatrix(outputs: outputs, inputs: kernel * inputs, values: taps)
    }

    /// Number of output frames for `frames` input frames.
    public func outputLength(_ frames: Int) -> Int {
        max(0, (frames + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1)
    }

    /// [T, inputs] -> [T', outputs].
    public func callAsFunction(_ x: Tensor) -> Tensor {
        precondition(x.columns == inputs, "\(x.shape) into a convolution of \(inputs) channels")
        let frames = outputLength(x.rows)
        let source = padding == 0 ? x.values : padded(x)
        let result = [Float](unsafeUninitializedCapacity: frames * outputs) { buffer, count in
            source.withUnsafeBufferPointer { input in
                guard frames > 0, let a = input.baseAddress, let c = buffer.baseAddress else {
                    return
                }
                weight.withPointer { weights in
                    multiply(frames: frames, a: a, weights: weights, c: c)
                }
            }
            count = frames * outputs
        }
        return Tensor(shape: [frames, outputs], values: result)
    }

    private func padded(_ x: Tensor) -> [Float] {
        let zeros = [Float](repeating: 0, count: padding * inputs)
        var values: [Float] = []
        values.reserveCapacity(x.values.count + 2 * zeros.count)
        values += zeros
        values += x.values
        values += zeros
        return values
    }

    private func multiply(
        frames: Int, a: UnsafePointer<Float>, weights: UnsafeRawPointer,
        c: UnsafeMutablePointer<Float>
    ) {
        let wholeWindow = dilation == 1
        for tap in 0..<(wholeWindow ? 1 : kernel) {
            func run(_ bias: UnsafePointer<Float>?) {
                MatrixProduct.multiplyParallel(
                    m: frames, n: outputs, k: wholeWindow ? kernel * inputs : inputs,
                    a: a + tap * dilation * inputs, aStride: stride * inputs,
                    weights: weights + tap * inputs * 4, weightsStride: kernel * inputs,
                    isBFloat16: false, c: c, cStride: outputs, accumulate: tap > 0, bias: bias)
            }
            if tap == 0, let bias {
                bias.withUnsafeBufferPointer { run($0.baseAddress) }
            } else {
                run(nil)
            }
        }
    }
}

/// A transposed convolution over time: [T, inputs] -> [T', outputs],
/// T' = (T - 1) stride - 2 padding + kernel.
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
    private let weight: WeightMatrix  // [kernel * outputs, inputs]
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
        var taps = [Float](repeating: 0, count: weight.count)
        for input in 0..<inputs {
            for output in 0..<outputs {
                for tap in 0..<kernel {
                    taps[(tap * outputs + output) * inputs + input] =
                        weight[(input * outputs + output) * kernel + tap]
                }
            }
        }
        self.weight = WeightMatrix(outputs: kernel * outputs, inputs: inputs, values: taps)
    }

    /// Number of output frames for `frames` input frames.
    public func outputLength(_ frames: Int) -> Int {
        frames == 0 ? 0 : max(0, (frames - 1) * stride - 2 * padding + kernel)
    }

    /// [T, inputs] -> [T', outputs].
    public func callAsFunction(_ x: Tensor) -> Tensor {
        let frames = outputLength(x.rows)
        let windows = weight.multiply(x)  // [T, kernel * outputs]
        var result = Tensor(zeros: [frames, outputs])
        let (count, outputs, kernel, stride, padding) = (x.rows, outputs, kernel, stride, padding)
        result.values.withUnsafeMutableBufferPointer { buffer in
            windows.values.withUnsafeBufferPointer { source in
                guard let base = buffer.baseAddress, let from = source.baseAddress else { return }
                let (target, taps) = (SharedPointer(base), SharedReadPointer(from))
                Parallel.forEachRange(frames, grain: 64) { range in
                    for frame in range {
                        let position = frame + padding
                        var tap = position % stride
                        while tap < kernel {
                            let window = (position - tap) / stride
                            if position >= tap, window < count {
                                sa_add(
                                    target.base + frame * outputs,
                                    taps.base + (window * kernel + tap) * outputs, outputs)
                            }
                            tap += stride
                        }
                    }
                }
            }
        }
        if let bias {
            result.add(toEveryRow: bias)
        }
        return result
    }
}

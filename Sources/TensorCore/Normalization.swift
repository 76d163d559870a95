// Normalisations over [T, C]: layer norm and RMS norm along the channels of each frame, group norm
// over all frames of a channel group, and the per-channel scale and shift of a batch norm.

import Kernels

private func mapRows(
    _ x: Tensor, _ body: @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
) -> Tensor {
    let columns = x.columns
    let values = [Float](unsafeUninitializedCapacity: x.values.count) { buffer, count in
        x.values.withUnsafeBufferPointer { source in
            guard let input = source.baseAddress, let output = buffer.baseAddress else { return }
            let (from, to) = (SharedReadPointer(input), SharedPointer(output))
            let grain = max(1, 16_384 / max(1, columns))
            Parallel.forEachRange(x.rows, grain: grain) { rows in
                let start = rows.lowerBound * columns
                body(from.base + start, to.base + start, rows.count)
            }
        }
        count = x.values.count
    }
    return Tensor(shape: x.shape, values: values)
}

/// Layer normalisation over the last axis, with biased variance.
public struct LayerNorm: Sendable {
    /// One gain a channel.
    public let weight: [Float]
    /// One offset a channel.
    public let bias: [Float]
    /// Added to the variance.
    public let epsilon: Float

    /// Makes the layer; weight and bias have one value a channel.
    public init(weight: [Float], bias: [Float], epsilon: Float) {
        precondition(weight.count == bias.count, "weight and bias of different sizes")
        self.weight = weight
        self.bias = bias
        self.epsilon = epsilon
    }

    /// [T, C] -> [T, C].
    public func callAsFunction(_ x: Tensor) -> Tensor {
        precondition(x.columns == weight.count, "\(x.shape) into a norm of \(weight.count)")
        return mapRows(x) { input, output, rows in
            sa_layer_norm(
                input, weight.count, output, rows, weight.count, weight, bias, epsilon)
        }
    }
}

extension LayerNorm {
    /// Normalises rows on the calling thread; the output's rows follow each other.
    package func apply(_ x: Rows, into output: Rows) {
        sa_layer_norm(
            x.base, x.stride, output.base, x.count, weight.count, weight, bias, epsilon)
    }
}

/// Root-mean-square normalisation over the last axis.
public struct RMSNorm: Sendable {
    /// One gain a channel.
    public let weight: [Float]
    /// Added to the mean square.
    public let epsilon: Float

    /// Makes the layer; weight has one value a channel.
    public init(weight: [Float], epsilon: Float) {
        self.weight = weight
        self.epsilon = epsilon
    }

    /// [T, C] -> [T, C].
    public func callAsFunction(_ x: Tensor) -> Tensor {
        precondition(x.columns == weight.count, "\(x.shape) into a norm of \(weight.count)")
        return mapRows(x) { input, output, rows in
            sa_rms_norm(input, output, rows, weight.count, weight, epsilon)
        }
    }
}

/// Group normalisation: statistics over all frames of each group of neighbouring channels.
public struct GroupNorm: Sendable {
    /// Number of groups; divides the channels.
    public let groups: Int
    /// One gain a channel.
    public let weight: [Float]
    /// One offset a channel.
    public let bias: [Float]
    /// Added to the variance.
    public let epsilon: Float

    /// Makes the layer; weight and bias have one value a channel.
    public init(groups: Int, weight: [Float], bias: [Float], epsilon: Float = 1e-5) {
        precondition(groups > 0 && weight.count % groups == 0, "\(groups) groups")
        precondition(weight.count == bias.count, "weight and bias of different sizes")
        self.groups = groups
        self.weight = weight
        self.bias = bias
        self.epsilon = epsilon
    }

    /// [T, C] -> [T, C]; the sums are kept in double precision.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        precondition(x.columns == weight.count, "\(x.shape) into a norm of \(weight.count)")
        let (sums, squares) = Self.moments(x)
        let (scale, shift) = affine(sums: sums, squares: squares, frames: x.rows)
        var result = x
        result.scaleAndShift(scale: scale, shift: shift)
        return result
    }
}

extension GroupNorm {
    /// The scale and shift of each channel that normalise `frames` frames, from the channels' sums and
    /// sums of squares.
    package func affine(
        sums: [Double], squares: [Double], frames: Int
    ) -> (scale: [Float], shift: [Float]) {
        let channels = weight.count
        var scale = [Float](repeating: 0, count: channels)
        var shift = scale
        let width = channels / groups
        let count = Double(frames * width)
        for group in 0..<groups {
            let range = group * width..<(group + 1) * width
            let mean = sums[range].reduce(0, +) / count
            let variance = max(0, squares[range].reduce(0, +) / count - mean * mean)
            let factor = 1 / (variance + Double(epsilon)).squareRoot()
            for channel in range {
                let gain = Double(weight[channel]) * factor
                scale[channel] = Float(gain)
                shift[channel] = Float(Double(bias[channel]) - mean * gain)
            }
        }
        return (scale, shift)
    }

    /// Frames whose sums are taken together; fixed, so that the threads do not change the result.
    private static let stretch = 256

    /// Each column's sum and sum of squares.
    private static func moments(_ x: Tensor) -> (sums: [Double], squares: [Double]) {
        let (frames, channels) = (x.rows, x.columns)
        let stretches = (frames + stretch - 1) / stretch
        var parts = [Double](repeating: 0, count: 2 * channels * stretches)
        parts.withUnsafeMutableBufferPointer { target in
            x.values.withUnsafeBufferPointer { source in
                guard let target = target.baseAddress.map({ SharedPointer($0) }),
                    let source = source.baseAddress.map({ SharedReadPointer($0) })
                else { return }
                Parallel.forEachRange(stretches) { range in
                    for index in range {
                        let first = index * stretch
                        let sums = target.base + index * 2 * channels
                        sa_column_moments(
                            source.base + first * channels, min(stretch, frames - first), channels,
                            sums, sums + channels)
                    }
                }
            }
        }
        var total = [Double](repeating: 0, count: 2 * channels)
        for index in 0..<stretches {
            for place in 0..<2 * channels {
                total[place] += parts[index * 2 * channels + place]
            }
        }
        return (Array(total[..<channels]), Array(total[channels...]))
    }
}

/// Batch normalisation with stored statistics, folded into one scale and shift a channel.
public struct BatchNorm: Sendable {
    /// One factor a channel.
    public let scale: [Float]
    /// One offset a channel.
    public let shift: [Float]

    /// Folds the statistics; without weight and bias the norm is not affine.
    public init(
        weight: [Float]?, bias: [Float]?, mean: [Float], variance: [Float], epsilon: Float = 1e-5
    ) {
        precondition(mean.count == variance.count, "mean and variance of different sizes")
        let factors = mean.indices.map { channel in
            Double(weight?[channel] ?? 1)
                / (Double(variance[channel]) + Double(epsilon)).squareRoot()
        }
        scale = factors.map { Float($0) }
        shift = mean.indices.map { channel in
            Float(Double(bias?[channel] ?? 0) - Double(mean[channel]) * factors[channel])
        }
    }

    /// A norm that only adds one offset a channel: what is left of one that was folded into a bias.
    public init(shift: [Float]) {
        scale = [Float](repeating: 1, count: shift.count)
        self.shift = shift
    }

    /// [T, C] -> [T, C].
    public func callAsFunction(_ x: Tensor) -> Tensor {
        var result = x
        result.scaleAndShift(scale: scale, shift: shift)
        return result
    }
}

extension Tensor {
    /// x * scale + shift with one scale and shift a column.
    public mutating func scaleAndShift(scale: [Float], shift: [Float]) {
        precondition(scale.count == columns && shift.count == columns, "\(columns) columns")
        let (rows, columns) = (rows, columns)
        values.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            let target = SharedPointer(base)
            Parallel.forEachRange(rows, grain: max(1, 32_768 / max(1, columns))) { range in
                sa_scale_shift(
                    target.base + range.lowerBound * columns, range.count, columns, scale, shift)
            }
        }
    }
}

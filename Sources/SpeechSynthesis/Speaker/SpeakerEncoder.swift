// CAM++: a recording's speaker as one vector. Two-dimensional convolutions over (band, frame), then
// densely connected time-delay layers with context-aware masks, then statistics over time. 16 kHz
// samples -> [E]. Source: Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification"
// (2023).

import AudioSignal
import Checkpoints
import TensorCore

/// Turns a recording into a speaker embedding.
public struct SpeakerEncoder: Sendable {
    let bank: KaldiFilterBank
    let head: [BandLayer]
    let entry: Convolution1D
    let blocks: [DenseBlock]
    let exitNorm: BatchNorm?
    let output: Linear
    /// Absent when it was folded into the output.
    let outputNorm: BatchNorm?

    /// Values of an embedding.
    public var width: Int { output.weight.outputs }

    /// Filter-bank features with the mean of each band removed: [T, bands] of 16 kHz samples.
    public func features(_ samples: [Float]) -> Tensor {
        var features = bank.features(samples)
        let (rows, columns) = (features.rows, features.columns)
        guard rows > 0 else { return features }
        for column in 0..<columns {
            var sum = 0.0
            for row in 0..<rows {
                sum += Double(features.values[row * columns + column])
            }
            let mean = Float(sum / Double(rows))
            for row in 0..<rows {
                features.values[row * columns + column] -= mean
            }
        }
        return features
    }

    /// The embedding of 16 kHz samples; throws when they are too short for two output frames.
    public func embedding(_ samples: [Float]) throws(SpeechSynthesisError) -> [Float] {
        let features = features(samples)
        // Deviations over time need two frames behind the entry's stride of two.
        guard features.rows >= 4 else {
            throw .promptTooShort(seconds: Double(samples.count) / 16_000, least: 0.055)
        }
        var image = BandImage(features)
        for layer in head {
            image = layer(image)
        }
        var x = entry(image.flattened).applying(.relu)
        for block in blocks {
            x = block(x)
        }
        if let exitNorm {
            x = exitNorm(x)
        }
        let raw = output(Self.statistics(x.applying(.relu)))
        let result = (outputNorm.map { $0(raw) } ?? raw).values
        guard result.allSatisfy(\.isFinite) else { throw .notFinite(stage: "speaker encoder") }
        return result
    }

    /// Mean and unbiased deviation over time: [T, C] -> [1, 2 C].
    private static func statistics(_ x: Tensor) -> Tensor {
        let (rows, columns) = (x.rows, x.columns)
        var result = Tensor(zeros: [1, 2 * columns])
        for column in 0..<columns {
            var sum = 0.0
            for row in 0..<rows {
                sum += Double(x.values[row * columns + column])
            }
            let mean = sum / Double(rows)
            var square = 0.0
            for row in 0..<rows {
                let difference = Double(x.values[row * columns + column]) - mean
                square += difference * difference
            }
            result.values[column] = Float(mean)
            result.values[columns + column] = Float(
                (square / Double(max(1, rows - 1))).squareRoot())
        }
        return result
    }
}

/// Densely connected layers, then a narrower layer.
struct DenseBlock: Sendable {
    let layers: [DenseLayer]
    let exitNorm: BatchNorm
    let exit: Linear

    /// [T, C] -> [T, C'].
    func callAsFunction(_ input: Tensor) -> Tensor {
        let x = layers.reduce(input) { Tensor.concatenatedColumns([$0, $1($0)]) }
        return exit(exitNorm(x).applying(.relu))
    }
}

/// One densely connected layer: [T, C] -> [T, growth].
struct DenseLayer: Sendable {
    let norm: BatchNorm
    let bottleneck: Linear
    let bottleneckNorm: BatchNorm?
    let local: Convolution1D
    let contextFirst, contextSecond: Linear

    /// Frames of a segment whose mean is part of the context.
    static let segment = 100

    func callAsFunction(_ input: Tensor) -> Tensor {
        var x = bottleneck(norm(input).applying(.relu))
        if let bottleneckNorm {
            x = bottleneckNorm(x)
        }
        x.apply(.relu)
        var y = local(x)
        let means = contexts(x)
        let mask = contextSecond(contextFirst(means).applying(.relu)).applying(.sigmoid)
        let width = y.columns
        for row in 0..<y.rows {
            let segment = row / Self.segment
            for column in 0..<width {
                y.values[row * width + column] *= mask.values[segment * width + column]
            }
        }
        return y
    }

    /// The mean over all frames plus the mean over each segment: [segments, C].
    private func contexts(_ x: Tensor) -> Tensor {
        let (rows, columns) = (x.rows, x.columns)
        let count = (rows + Self.segment - 1) / Self.segment
        var result = Tensor(zeros: [count, columns])
        var total = [Double](repeating: 0, count: columns)
        for segment in 0..<count {
            let range = segment * Self.segment..<min(rows, (segment + 1) * Self.segment)
            var sum = [Double](repeating: 0, count: columns)
            for row in range {
                for column in 0..<columns {
                    sum[column] += Double(x.values[row * columns + column])
                }
            }
            for column in 0..<columns {
                total[column] += sum[column]
                result[segment, column] = Float(sum[column] / Double(range.count))
            }
        }
        result.add(toEveryRow: total.map { Float($0 / Double(rows)) })
        return result
    }
}

// The U-Net that estimates the flow's velocity: residual convolutions conditioned on time, transformers
// without positions, one halving of the frame rate a stage but the last. Input [T, 4 M] (state, mu,
// speaker, condition), output [T, M]. Source: Matcha-TTS (Mehta et al. 2024), CosyVoice's
// ConditionalDecoder.

import Foundation
import TensorCore

/// Estimates velocities.
struct VelocityEstimator: Sendable {
    let time: TimeEmbedding
    let down: [Stage]
    let middle: [Stage]
    let up: [Stage]
    let finalBlock: ConvolutionBlock
    let output: Convolution1D

    /// A residual block, its transformers and what changes the rate or follows them.
    struct Stage: Sendable {
        let residual: TimedResidualBlock
        let transformers: [FlowTransformer]
        let exit: Exit

        enum Exit: Sendable {
            case none
            case convolution(Convolution1D)
            case transposed(TransposedConvolution1D)

            func callAsFunction(_ x: Tensor) -> Tensor {
                switch self {
                case .none: x
                case .convolution(let layer): layer(x)
                case .transposed(let layer): layer(x)
                }
            }
        }

        func body(_ x: Tensor, time: Tensor) -> Tensor {
            transformers.reduce(residual(x, time: time)) { $1($0) }
        }
    }

    /// The velocity at one time: inputs [T, 4 M] -> [T, M].
    func callAsFunction(_ input: Tensor, time t: Float) -> Tensor {
        let embedded = time(t)
        var x = input
        var skips: [Tensor] = []
        for stage in down {
            x = stage.body(x, time: embedded)
            skips.append(x)
            x = stage.exit(x)
        }
        for stage in middle {
            x = stage.exit(stage.body(x, time: embedded))
        }
        for stage in up {
            guard let skip = skips.popLast() else { break }
            let joined = Tensor.concatenatedColumns([x.rows(0..<skip.rows), skip])
            x = stage.exit(stage.body(joined, time: embedded))
        }
        return output(finalBlock(x))
    }
}

/// Sinusoids of the time, then two layers.
struct TimeEmbedding: Sendable {
    let inputs: Int
    let first, second: Linear

    /// t in [0, 1] -> [1, E].
    func callAsFunction(_ t: Float) -> Tensor {
        let half = inputs / 2
        let rate = -log(10_000.0) / Double(max(1, half - 1))
        var values = [Float](repeating: 0, count: inputs)
        for index in 0..<half {
            let angle = Double(1000 * t * Float(exp(Double(index) * rate)))
            values[index] = Float(sin(angle))
            values[half + index] = Float(cos(angle))
        }
        return second(first(Tensor(shape: [1, inputs], values: values)).applying(.silu))
    }
}

/// Convolution, group norm, Mish.
struct ConvolutionBlock: Sendable {
    let convolution: Convolution1D
    let norm: GroupNorm

    func callAsFunction(_ x: Tensor) -> Tensor { norm(convolution(x)).applying(.mish) }
}

/// Two convolution blocks with the time in between, and a 1x1 convolution around them.
struct TimedResidualBlock: Sendable {
    let first, second: ConvolutionBlock
    let time: Linear
    let residual: Convolution1D

    func callAsFunction(_ x: Tensor, time embedded: Tensor) -> Tensor {
        var h = first(x)
        h.add(toEveryRow: time(embedded.applying(.mish)).values)
        return second(h) + residual(x)
    }
}

/// Full self-attention without positions, then a GELU feed-forward network; both pre-norm.
struct FlowTransformer: Sendable {
    let heads: Int
    let attentionNorm: LayerNorm
    let query, key, value, output: Linear
    let feedForwardNorm: LayerNorm
    let expansion, contraction: Linear

    func callAsFunction(_ x: Tensor) -> Tensor {
        let normed = attentionNorm(x)
        let width = query.weight.outputs / heads
        let mixed = attention(
            query: query(normed), key: key(normed), value: value(normed), heads: heads,
            scale: 1 / Float(width).squareRoot())
        let y = x + output(mixed)
        return y + contraction(expansion(feedForwardNorm(y)).applying(.gelu))
    }
}

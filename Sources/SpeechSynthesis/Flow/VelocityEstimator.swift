// The U-Net that estimates the flow's velocity: residual convolutions conditioned on time, transformers
// without positions, one halving of the frame rate a stage but the last. Input [T, 4 M] (state, mu,
// speaker, condition), output [T, M]. Source: Matcha-TTS (Mehta et al. 2024), CosyVoice's
// ConditionalDecoder. `VelocityRun` runs it.

import Foundation
import TensorCore

/// The weights that estimate velocities.
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

            /// Number of output frames for `frames` input frames.
            func outputLength(_ frames: Int) -> Int {
                switch self {
                case .none: frames
                case .convolution(let layer): layer.outputLength(frames)
                case .transposed(let layer): layer.outputLength(frames)
                }
            }

            /// A range of output rows on the calling thread.
            func apply(_ range: Range<Int>, of input: Rows, into output: Rows) {
                switch self {
                case .none: output.copy(input.rows(range))
                case .convolution(let layer): layer.apply(range, of: input, into: output)
                case .transposed(let layer): layer.apply(range, of: input, into: output)
                }
            }
        }

        /// Channels out.
        var width: Int { residual.first.convolution.outputs }
    }

    /// All stages in the order in which they run.
    var stages: [Stage] { down + middle + up }
}

/// Sinusoids of the time, then two layers.
struct TimeEmbedding: Sendable {
    let inputs: Int
    let first, second: Linear

    /// Times in [0, 1] -> [times, E].
    func callAsFunction(_ times: [Float]) -> Tensor {
        let half = inputs / 2
        let rate = -log(10_000.0) / Double(max(1, half - 1))
        var values = Tensor(zeros: [times.count, inputs])
        for (row, time) in times.enumerated() {
            for index in 0..<half {
                let angle = Double(1000 * time * Float(exp(Double(index) * rate)))
                values[row, index] = Float(sin(angle))
                values[row, half + index] = Float(cos(angle))
            }
        }
        return second(first(values, .silu))
    }
}

/// Convolution, group norm, Mish.
struct ConvolutionBlock: Sendable {
    let convolution: Convolution1D
    let norm: GroupNorm
}

/// Two convolution blocks with the time in between, and a 1x1 convolution around them.
struct TimedResidualBlock: Sendable {
    let first, second: ConvolutionBlock
    let time: Linear
    let residual: Convolution1D
}

/// Full self-attention without positions, then a GELU feed-forward network; both pre-norm.
struct FlowTransformer: Sendable {
    let heads: Int
    let attentionNorm: LayerNorm
    let query, key, value, output: Linear
    let feedForwardNorm: LayerNorm
    let expansion, contraction: Linear

    /// Size of a head.
    var headWidth: Int { query.weight.outputs / heads }
}

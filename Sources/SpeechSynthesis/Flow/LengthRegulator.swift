// From token rate to mel rate: linear interpolation, separately for the prompt and for the new tokens,
// then convolutions over both. [N, C] -> [T, C]. Source: CosyVoice's InterpolateRegulator.

import TensorCore

/// Stretches encoded tokens to mel frames.
package struct LengthRegulator: Sendable {
    let convolutions: [Convolution1D]
    let norms: [GroupNorm]
    let output: Convolution1D

    /// Prompt [N1, C] -> T1 rows, tokens [N2, C] -> T2 rows, together [T1 + T2, C].
    func callAsFunction(
        prompt: Tensor, promptFrames: Int, tokens: Tensor, frames: Int
    ) -> Tensor {
        self(
            Self.stretched(prompt, to: promptFrames), Self.stretched(tokens, to: frames))
    }

    /// The same on rows that were stretched before.
    func callAsFunction(_ prompt: Tensor, _ tokens: Tensor) -> Tensor {
        var x = Tensor.concatenatedRows([prompt, tokens])
        for (convolution, norm) in zip(convolutions, norms) {
            x = norm(convolution(x)).applying(.mish)
        }
        return output(x)
    }

    /// Linear interpolation without aligned corners: row t reads at (t + 0.5) n / T - 0.5.
    package static func stretched(_ x: Tensor, to count: Int) -> Tensor {
        stretched(x, frames: 0..<count, ratio: Float(x.rows) / Float(count))
    }

    /// The frames of a range, of which each takes `ratio` tokens; `x` begins with token `first`.
    static func stretched(
        _ x: Tensor, frames: Range<Int>, ratio: Float, first: Int = 0
    ) -> Tensor {
        let count = frames.count
        var result = Tensor(zeros: [count, x.columns])
        let (rows, width) = (x.rows, x.columns)
        guard rows > 0 else { return result }
        for t in 0..<count {
            let frame = Float(frames.lowerBound + t)
            let place = max(0, (frame + 0.5) * ratio - 0.5 - Float(first))
            let left = min(Int(place), rows - 1)
            let right = min(left + 1, rows - 1)
            let share = place - Float(left)
            for c in 0..<width {
                result.values[t * width + c] =
                    (1 - share) * x.values[left * width + c] + share * x.values[right * width + c]
            }
        }
        return result
    }
}

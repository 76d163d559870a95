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
        var x = Tensor.concatenatedRows([
            Self.stretched(prompt, to: promptFrames), Self.stretched(tokens, to: frames),
        ])
        for (convolution, norm) in zip(convolutions, norms) {
            x = norm(convolution(x)).applying(.mish)
        }
        return output(x)
    }

    /// Linear interpolation without aligned corners: row t reads at (t + 0.5) n / T - 0.5.
    package static func stretched(_ x: Tensor, to count: Int) -> Tensor {
        var result = Tensor(zeros: [count, x.columns])
        let (rows, width) = (x.rows, x.columns)
        guard rows > 0 else { return result }
        let ratio = Float(rows) / Float(count)
        for t in 0..<count {
            let place = max(0, (Float(t) + 0.5) * ratio - 0.5)
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

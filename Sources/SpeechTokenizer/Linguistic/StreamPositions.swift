// Sinusoidal positions that count on through a stream, 1-based: the first half of a row holds the
// sines, the second half the cosines. Source: Vaswani et al., "Attention Is All You Need" (2017).

import Foundation
import TensorCore

/// Adds position rows to features.
struct StreamPositions: Sendable {
    /// Radians a position, one for each sine.
    private let frequencies: [Float]
    private let width: Int

    /// Positions for rows of an even `width`.
    init(width: Int) {
        self.width = width
        let half = width / 2
        let increment = Float(log(10_000.0)) / Float(max(1, half - 1))
        frequencies = (0..<half).map { Float(exp(Double(Float($0) * -increment))) }
    }

    /// The row of one position.
    func row(_ position: Int) -> [Float] {
        // The product is rounded to fp32 first, as the model saw it in training.
        let angles = frequencies.map { Double(Float(position) * $0) }
        return angles.map { Float(sin($0)) } + angles.map { Float(cos($0)) }
    }

    /// Adds the rows of the positions from `first` on to a [T, width] tensor.
    func add(to x: inout Tensor, first: Int) {
        let frames = x.rows
        let width = width
        x.values.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress.map({ SharedPointer($0) }) else { return }
            Parallel.forEachRange(frames, grain: 8) { range in
                for frame in range {
                    let target = base.base + frame * width
                    for (column, value) in row(first + frame).enumerated() {
                        target[column] += value
                    }
                }
            }
        }
    }
}

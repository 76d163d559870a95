// The short-time Fourier transform at the vocoder's ends, a small transform done as sums over cosine
// and sine tables: source [L] -> spectrum [frames, 2 bins], and spectrum back to samples.

import Foundation
import TensorCore

/// Centred transforms with a periodic Hann window, reflected edges.
package struct ShortTimeTransform: Sendable {
    /// Points of the transform, an even number.
    let points: Int
    /// Samples from frame to frame.
    let hop: Int
    private let window: [Float]
    /// Windowed cosines, then negative sines: [2 bins, points].
    private let analysis: WeightMatrix
    /// Windowed inverse: [points, 2 bins].
    private let synthesis: WeightMatrix

    /// Bins from 0 to half the points.
    var bins: Int { points / 2 + 1 }

    package init(points: Int, hop: Int) {
        self.points = points
        self.hop = hop
        let bins = points / 2 + 1
        let window = (0..<points).map { 0.5 - 0.5 * cos(2 * .pi * Double($0) / Double(points)) }
        self.window = window.map { Float($0) }
        var forward: [Float] = []
        var backward = [Float](repeating: 0, count: points * 2 * bins)
        for part in 0..<2 {
            for bin in 0..<bins {
                for n in 0..<points {
                    let angle = 2 * Double.pi * Double(bin * n % points) / Double(points)
                    let wave = part == 0 ? cos(angle) : -sin(angle)
                    forward.append(Float(window[n] * wave))
                    let isEdge = bin == 0 || bin == points / 2
                    let share = (isEdge ? 1.0 : 2.0) / Double(points)
                    backward[n * 2 * bins + part * bins + bin] = Float(window[n] * wave * share)
                }
            }
        }
        analysis = WeightMatrix(outputs: 2 * bins, inputs: points, values: forward)
        synthesis = WeightMatrix(outputs: points, inputs: 2 * bins, values: backward)
    }

    /// Real parts, then imaginary parts of each frame: [1 + L / hop, 2 bins].
    package func forward(_ signal: [Float]) -> Tensor {
        let half = points / 2
        let frames = 1 + signal.count / hop
        func sample(_ index: Int) -> Float {
            let mirrored = index < 0 ? -index : index
            let place = mirrored < signal.count ? mirrored : 2 * signal.count - 2 - mirrored
            return signal.indices.contains(place) ? signal[place] : 0
        }
        var rows = Tensor(zeros: [frames, points])
        for frame in 0..<frames {
            for n in 0..<points {
                rows.values[frame * points + n] = sample(frame * hop + n - half)
            }
        }
        return analysis.multiply(rows)
    }

    /// Samples of a spectrum [frames, 2 bins]: (frames - 1) hop of them.
    package func inverse(_ spectrum: Tensor) -> [Float] {
        let rows = synthesis.multiply(spectrum)
        let frames = rows.rows
        let length = max(0, frames - 1) * hop + points
        var sum = [Float](repeating: 0, count: length)
        var weight = sum
        for frame in 0..<frames {
            for n in 0..<points {
                sum[frame * hop + n] += rows.values[frame * points + n]
                weight[frame * hop + n] += window[n] * window[n]
            }
        }
        let half = points / 2
        return (half..<max(half, length - half)).map { sum[$0] / max(weight[$0], 1e-11) }
    }
}

// Windowed-sinc resampling between any two rates, equal to torchaudio's `Resample` with its
// defaults (Hann window, low-pass width 6, roll-off 0.99). Source: torchaudio 2.x,
// functional.py `_get_sinc_resample_kernel`.

import Foundation
import TensorCore

/// Resamples from one rate to another.
public struct Resampler: Sendable {
    private let step: Int  // input samples per block
    private let phases: Int  // output samples per block
    private let width: Int
    private let length: Int  // taps of a phase
    private let taps: [Float]  // [phases, length]
    private let isWindowed: Bool  // whether a phase's taps begin at its own place

    /// Taps beyond which only those under the window are kept: rates without a common divisor have as
    /// many phases as hertz.
    private static let mostTaps = 1 << 20

    /// Computes the filters of a pair of rates, both positive.
    public init(from source: Int, to target: Int) {
        precondition(source > 0 && target > 0, "rates \(source) and \(target)")
        func divisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : divisor(b, a % b) }
        let common = divisor(source, target)
        let (from, to) = (source / common, target / common)
        step = from
        phases = to
        guard from != to else {
            width = 0
            length = 1
            taps = [1]
            isWindowed = false
            return
        }
        let base = Double(min(from, to)) * 0.99
        width = Int((6 * Double(from) / base).rounded(.up))
        let whole = 2 * width + from
        isWindowed = to > Self.mostTaps / whole
        // The window is 2 width wide; one tap more at either end for a place between two samples.
        length = isWindowed ? 2 * width + 2 : whole
        var taps = [Float](repeating: 0, count: to * length)
        for phase in 0..<to {
            let shift = Double(Float(-phase) / Float(to))  // rounded as torchaudio does
            let first = isWindowed ? phase * from / to : 0
            for tap in 0..<length {
                let position = (shift + Double(first + tap - width) / Double(from)) * base
                let t = max(-6, min(6, position))
                let window = pow(cos(t * .pi / 12), 2)
                let sinc = t == 0 ? 1 : sin(.pi * t) / (.pi * t)
                taps[phase * length + tap] = Float(sinc * window * base / Double(from))
            }
        }
        self.taps = taps
    }

    /// Number of output samples for `count` input samples: the ceiling of their ratio.
    public func outputCount(_ count: Int) -> Int {
        (count * phases + step - 1) / step
    }

    /// Resamples a signal; samples before and after it count as zero.
    public func resample(_ samples: [Float]) -> [Float] {
        guard step != phases, !samples.isEmpty else { return samples }
        guard !isWindowed else { return windowed(samples) }
        let blocks = (samples.count + step - 1) / step
        var padded = [Float](repeating: 0, count: (blocks - 1) * step + length + step)
        padded.replaceSubrange(width..<width + samples.count, with: samples)
        // Every block of `step` inputs gives `phases` outputs: one product with overlapping rows.
        var result = [Float](repeating: 0, count: blocks * phases)
        padded.withUnsafeBufferPointer { source in
            taps.withUnsafeBufferPointer { filters in
                result.withUnsafeMutableBufferPointer { target in
                    guard let a = source.baseAddress, let b = filters.baseAddress,
                        let c = target.baseAddress
                    else { return }
                    MatrixProduct.multiply(
                        m: blocks, n: phases, k: length, a: a, aStride: step, b: b,
                        bStride: length, bLayout: .outputsByInputs, c: c, cStride: phases)
                }
            }
        }
        return Array(result.prefix(outputCount(samples.count)))
    }

    /// The same sum over the taps under the window alone.
    private func windowed(_ samples: [Float]) -> [Float] {
        let padded =
            [Float](repeating: 0, count: width) + samples
            + [Float](repeating: 0, count: width + 2)
        return (0..<outputCount(samples.count)).map { index in
            let (block, phase) = index.quotientAndRemainder(dividingBy: phases)
            let start = block * step + phase * step / phases
            let filter = phase * length
            var sum: Float = 0
            for tap in 0..<length {
                sum += padded[start + tap] * taps[filter + tap]
            }
            return sum
        }
    }
}

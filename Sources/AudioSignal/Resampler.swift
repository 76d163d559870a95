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
    private let taps: [Float]  // [phases, 2 width + step]

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
            taps = [1]
            return
        }
        let base = Double(min(from, to)) * 0.99
        width = Int((6 * Double(from) / base).rounded(.up))
        let length = 2 * width + from
        var taps = [Float](repeating: 0, count: to * length)
        for phase in 0..<to {
            let shift = Double(Float(-phase) / Float(to))  // rounded as torchaudio does
            for tap in 0..<length {
                let position = (shift + Double(tap - width) / Double(from)) * base
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
        guard step != phases else { return samples }
        let blocks = (samples.count + step - 1) / step
        var padded = [Float](repeating: 0, count: (blocks - 1) * step + length + step)
        padded.replaceSubrange(width..<width + samples.count, with: samples)
        return Array(filtered(padded, blocks: max(0, blocks)).prefix(outputCount(samples.count)))
    }

    private var length: Int { 2 * width + step }

    /// Outputs of consecutive blocks; the first one's filter begins at the first sample.
    private func filtered(_ padded: [Float], blocks: Int) -> [Float] {
        // Every block of `step` inputs gives `phases` outputs: one product with overlapping rows.
        var result = [Float](repeating: 0, count: blocks * phases)
        guard blocks > 0 else { return [] }
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
        return result
    }

    /// A signal that is still coming; any split into portions gives the samples of the whole.
    public struct Stream: Sendable {
        private let resampler: Resampler
        /// Samples from `start` on; those before the signal are zeros.
        private var samples: [Float]
        private var start: Int
        private var received = 0
        private var blocks = 0

        /// Blocks that are computed again in front of new ones: products of few rows sum in another
        /// order than those of many.
        private static let company = 8

        /// Starts a signal.
        public init(_ resampler: Resampler) {
            self.resampler = resampler
            samples = [Float](repeating: 0, count: resampler.width)
            start = -resampler.width
        }

        /// The samples that further ones make ready.
        public mutating func append(_ more: [Float]) -> [Float] {
            let r = resampler
            guard r.step != r.phases else { return more }
            received += more.count
            samples += more
            let ready = (received - r.width) / r.step
            // A short signal is filtered as a whole at its end, as `resample` would.
            guard ready >= Self.company, ready > blocks else { return [] }
            return take(until: ready)
        }

        /// The rest.
        public mutating func finish() -> [Float] {
            let r = resampler
            guard r.step != r.phases else { return [] }
            let all = (received + r.step - 1) / r.step
            let wanted = r.outputCount(received) - blocks * r.phases
            samples += [Float](repeating: 0, count: r.length + r.step)
            return Array(take(until: all).prefix(max(0, wanted)))
        }

        private mutating func take(until end: Int) -> [Float] {
            let r = resampler
            let first = max(0, min(blocks, end - Self.company))
            let offset = first * r.step - r.width - start
            let result = r.filtered(Array(samples[offset...]), blocks: end - first)
            let known = (blocks - first) * r.phases
            blocks = end
            let kept = max(0, end - Self.company) * r.step - r.width
            if kept > start {
                samples.removeFirst(kept - start)
                start = kept
            }
            return Array(result.dropFirst(known))
        }
    }
}

// Resamples a signal that comes in pieces; the result is that of the whole signal at once, because
// every block is computed with its neighbours on both sides.

import AudioSignal

/// Resamples piece by piece.
package struct StreamingResampler {
    private let resampler: Resampler
    private let step: Int  // input samples per block
    private let phases: Int  // output samples per block
    private let context: Int  // input samples kept on each side, whole blocks
    private let isIdentity: Bool
    private var held: [Float] = []
    private var past = 0  // samples of `held` that are context only

    /// Rates in Hz, both positive.
    package init(from source: Int, to target: Int) {
        func divisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : divisor(b, a % b) }
        let common = divisor(source, target)
        step = source / common
        phases = target / common
        isIdentity = source == target
        resampler = Resampler(from: source, to: target)
        // The filter reaches 6 / 0.99 input samples of the lower rate to each side.
        let reach = 7 * max(1, (source + target - 1) / target) + 1
        context = (reach + step - 1) / step * step
    }

    /// The next output samples.
    package mutating func append(_ samples: [Float]) -> [Float] {
        guard !isIdentity else { return samples }
        held += samples
        // Blocks whose right-hand neighbours are there.
        let ready = (held.count - past - context) / step * step
        guard ready > 0 else { return [] }
        let output = resampler.resample(Array(held[..<(past + ready + context)]))
        let first = past / step * phases
        let result = Array(output[first..<(first + ready / step * phases)])
        let end = past + ready
        let keep = min(context, end)
        held.removeFirst(end - keep)
        past = keep
        return result
    }

    /// What is left at the end of the signal.
    package mutating func finish() -> [Float] {
        guard !isIdentity, held.count > past else { return [] }
        let output = resampler.resample(held)
        defer { (held, past) = ([], 0) }
        return Array(output[min(output.count, past / step * phases)...])
    }
}

/// Samples as 16-bit little-endian integers and back.
package enum PCM16 {
    package static func bytes(_ samples: [Float]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(samples.count * 2)
        for sample in samples {
            let scaled = (max(-1, min(1, sample)) * 32767).rounded()
            let value = UInt16(bitPattern: Int16(scaled.isFinite ? scaled : 0))
            bytes.append(UInt8(truncatingIfNeeded: value))
            bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        }
        return bytes
    }

    /// A last odd byte is left out.
    package static func samples(_ bytes: some RandomAccessCollection<UInt8>) -> [Float] {
        var samples: [Float] = []
        samples.reserveCapacity(bytes.count / 2)
        var index = bytes.startIndex
        while let next = bytes.index(index, offsetBy: 1, limitedBy: bytes.endIndex),
            next != bytes.endIndex
        {
            let value = UInt16(bytes[index]) | UInt16(bytes[next]) << 8
            samples.append(Float(Int16(bitPattern: value)) / 32768)
            index = bytes.index(after: next)
        }
        return samples
    }
}

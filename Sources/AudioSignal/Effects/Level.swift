// Level: energy normalisation, volume with clipping, and the figures that describe a signal.

/// Level changes of mono signals.
public enum Level {
    /// Scales so that the largest magnitude becomes 0.999; magnitudes below 0.01 count as 0.01.
    ///
    /// Source: Step-Audio's tokenizer, energy normalisation.
    public static func normalized(_ samples: [Float]) -> [Float] {
        let peak = samples.reduce(Float(0)) { max($0, abs($1)) }
        let divisor = max(peak, 0.01)
        return samples.map { ($0 / divisor) * 0.999 }
    }

    /// Multiplies and clips, through 32-bit integers as sox's `vol` does.
    ///
    /// The factor, 0 to 100, is rounded to six decimals first; exactly 1 changes nothing.
    public static func volume(_ samples: [Float], factor: Double) throws(AudioError) -> [Float] {
        guard factor.isFinite, (0...100).contains(factor) else { throw .badVolume(factor) }
        let gain = (factor * 1e6).rounded() / 1e6
        guard gain != 1 else { return samples }
        return samples.map { sample in
            let product = SoxSample.integer(sample) * gain
            let clipped = max(SoxSample.lowest, min(SoxSample.highest, product))
            return SoxSample.float(clipped.rounded(.towardZero))
        }
    }

    /// Root mean square.
    public static func rootMeanSquare(_ samples: [Float]) -> Double {
        guard !samples.isEmpty else { return 0 }
        let power = samples.reduce(0.0) { $0 + Double($1) * Double($1) }
        return (power / Double(samples.count)).squareRoot()
    }

    /// Positions where the signal jumps: second differences of more than `threshold` times their
    /// usual size within the surrounding 20 ms, and above -50 dB of full scale.
    public static func clicks(
        _ samples: [Float], sampleRate: Int, threshold: Float = 12
    ) -> [Int] {
        guard samples.count > 3 else { return [] }
        let radius = max(8, sampleRate / 100)
        let bends = samples.indices.map { index -> Float in
            guard index > 0, index + 1 < samples.count else { return 0 }
            return abs(samples[index - 1] - 2 * samples[index] + samples[index + 1])
        }
        var sums = [Double](repeating: 0, count: bends.count + 1)
        for (index, bend) in bends.enumerated() {
            sums[index + 1] = sums[index] + Double(bend)
        }
        return bends.indices.filter { index in
            let range = max(0, index - radius)..<min(bends.count, index + radius)
            // The click's own few samples are left out of the usual size.
            let near = max(range.lowerBound, index - 3)..<min(range.upperBound, index + 4)
            let total =
                sums[range.upperBound] - sums[range.lowerBound]
                - (sums[near.upperBound] - sums[near.lowerBound])
            let usual = Float(total / Double(max(1, range.count - near.count)))
            return bends[index] > 0.00316 && bends[index] > threshold * max(usual, 1e-4)
        }
    }
}

/// sox's 32-bit samples: floats become integers, truncated, and lose the low 7 bits on the way out.
enum SoxSample {
    static let highest = 2_147_483_647.0
    static let lowest = -2_147_483_648.0

    static func integer(_ sample: Float) -> Double {
        max(lowest, min(highest, (Double(sample) * 2_147_483_648).rounded(.towardZero)))
    }

    static func float(_ value: Double) -> Float {
        guard value <= highest - 64 else { return 1 }
        let rounded = (Int64(value) + 64) & ~127
        return Float(Double(rounded) / 2_147_483_648)
    }
}

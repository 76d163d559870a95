// Trims silence at both ends as Step-Audio's tokenizer does: librosa's trim at 20 dB, then 50 ms
// kept before and 220 ms after, to a multiple of 240 samples. Input is mono at 16 kHz.

import Foundation

/// Trims silence.
public enum SilenceTrim {
    private static let frame = 512
    private static let hop = 128
    private static let before = 800
    private static let after = 4320
    private static let unit = 240

    /// First and one past the last sample of what is no quieter than 20 dB below the loudest frame.
    public static func loudRange(_ samples: [Float]) -> Range<Int> {
        let count = 1 + samples.count / hop
        let powers = (0..<count).map { index -> Float in
            let centre = index * hop
            let range = max(0, centre - frame / 2)..<max(0, min(samples.count, centre + frame / 2))
            let sum = samples[range].reduce(0.0) { $0 + Double($1) * Double($1) }
            let level = Float((sum / Double(frame)).squareRoot())
            return level * level
        }
        let floor: Float = 1e-10
        let reference = 10 * log10(max(floor, powers.max() ?? 0))
        let loud = powers.indices.filter { 10 * log10(max(floor, powers[$0])) - reference > -20 }
        guard let first = loud.first, let last = loud.last else { return 0..<0 }
        let end = min(samples.count, (last + 1) * hop)
        return min(first * hop, end)..<end
    }

    /// The trimmed signal; its length is a multiple of 240 samples, at least 4560.
    public static func trimmed(_ samples: [Float]) -> [Float] {
        let range = loudRange(samples)
        let units = (range.count + unit - 1) / unit
        let start = range.lowerBound - before
        var result =
            start > 0
            ? Array(samples[start...]) : [Float](repeating: 0, count: -start) + samples
        let length = units * unit + after
        if length < result.count {
            result.removeLast(result.count - length)
        } else {
            result += [Float](repeating: 0, count: length - result.count)
        }
        return result
    }
}

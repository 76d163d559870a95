// Changes the pace without the pitch: waveform-similarity overlap-add as sox's `tempo` does it with
// its default settings. Sources: Verhelst and Roelands, "An overlap-add technique based on waveform
// similarity" (1993); SoX 14.4.2, src/tempo.c (behaviour).

import Foundation

/// Changes the pace of a mono signal.
public enum Tempo {
    /// The signal at `factor` times its pace.
    ///
    /// The factor, 0.1 to 100, is rounded to six decimals first; exactly 1 changes nothing. The
    /// result has floor(count / factor + 0.5) samples.
    public static func change(
        _ samples: [Float], sampleRate: Int, factor: Double
    ) throws(AudioError) -> [Float] {
        var stream = try TempoStream(sampleRate: sampleRate, factor: factor)
        return stream.append(samples) + stream.finish()
    }
}

/// The same on a signal that is still coming; any split into portions gives the same samples.
public struct TempoStream: Sendable {
    private let factor: Double
    private var stretcher: Stretcher
    private var (received, given) = (0, 0)

    /// Starts a signal; the factor as in `Tempo.change`.
    public init(sampleRate: Int, factor: Double) throws(AudioError) {
        guard factor.isFinite, (0.1...100).contains(factor) else { throw .badTempo(factor) }
        self.factor = (factor * 1e6).rounded() / 1e6
        stretcher = Stretcher(sampleRate: sampleRate, factor: self.factor)
    }

    /// The samples that further ones make ready.
    public mutating func append(_ samples: [Float]) -> [Float] {
        guard factor != 1 else { return samples }
        received += samples.count
        // Through sox's 32-bit samples, as both ends of its effects chain are.
        stretcher.push(samples.map { Float(SoxSample.integer($0) / 2_147_483_648) })
        return ready()
    }

    /// The rest.
    public mutating func finish() -> [Float] {
        guard factor != 1 else { return [] }
        let silence = [Float](repeating: 0, count: 128)
        while given + stretcher.output.count < wanted {
            stretcher.push(silence)
        }
        return ready()
    }

    private var wanted: Int { Int(Double(received) / factor + 0.5) }

    private mutating func ready() -> [Float] {
        let count = min(stretcher.output.count, wanted - given)
        let result = stretcher.output.prefix(count).map { sample in
            SoxSample.float(SoxSample.integer(sample))
        }
        stretcher.output.removeFirst(count)
        given += count
        return result
    }
}

/// The state of one stretching.
private struct Stretcher: Sendable {
    let factor: Double
    let segment: Int
    let search: Int
    let overlap: Int
    let need: Int
    var input: [Float]
    var start = 0
    var tail: [Float] = []
    var output: [Float] = []
    var segments = 0
    var skipped = 0

    init(sampleRate: Int, factor: Double) {
        self.factor = factor
        let rate = Double(sampleRate)
        segment = Int(rate * 82 / 1000 + 0.5)
        search = Int(rate * 14.677 / 1000 + 0.5)
        var overlap = max(Int(rate * 12.0006 / 1000 + 4.5), 16)
        overlap &= ~7
        if overlap * 2 > segment {
            overlap -= 8
        }
        self.overlap = overlap
        let skip = Int((factor * Double(segment - overlap)).rounded(.up))
        need = max(skip + overlap, segment) + search
        input = [Float](repeating: 0, count: search / 2)
    }

    mutating func push(_ samples: [Float]) {
        input += samples
        while input.count - start >= need {
            emitSegment()
        }
        if start > 1 << 16 {
            input.removeFirst(start)
            start = 0
        }
    }

    private mutating func emitSegment() {
        let offset: Int
        if segments == 0 {
            offset = start + search / 2
            output += input[offset..<offset + overlap]
        } else {
            offset = start + bestOffset()
            for k in 0..<overlap {
                let weight = Float(k) / Float(overlap)
                output.append(tail[k] * (1 - weight) + input[offset + k] * weight)
            }
        }
        output += input[offset + overlap..<offset + segment - overlap]
        tail = Array(input[offset + segment - overlap..<offset + segment])
        segments += 1
        let total = Int(factor * Double(segments) * Double(segment - overlap) + 0.5)
        start += total - skipped
        skipped = total
    }

    /// The offset whose samples differ least from the tail; the first of equals.
    private func bestOffset() -> Int {
        input.withUnsafeBufferPointer { samples in
            tail.withUnsafeBufferPointer { tail in
                var best = 0
                var least = Float.infinity
                for candidate in 0..<search {
                    var sum: Float = 0
                    for k in 0..<overlap {
                        let difference = samples[start + candidate + k] - tail[k]
                        sum += difference * difference
                    }
                    if sum < least {
                        least = sum
                        best = candidate
                    }
                }
                return best
            }
        }
    }
}

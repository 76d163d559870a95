// Resampling and tempo on signals that are still coming: any split gives what the whole gives.

import AudioSignal
import TensorCore
import Testing

struct SignalStreamTests {
    private func split(_ samples: [Float], seed: UInt64, longest: Int) -> [[Float]] {
        var generator = SeededGenerator(seed: seed)
        var parts: [[Float]] = []
        var start = 0
        while start < samples.count {
            let end = min(samples.count, start + 1 + Int(generator.uniform() * Double(longest)))
            parts.append(Array(samples[start..<end]))
            start = end
        }
        return parts
    }

    @Test(arguments: [8000, 11_025, 16_000, 22_050, 44_100, 48_000])
    func resamplingInPortions(rate: Int) {
        var generator = SeededGenerator(seed: UInt64(rate))
        for (index, count) in [1, 7, 100, 441, 1000, 1323, 9001].enumerated() {
            let samples = generator.normals(count)
            let resampler = Resampler(from: rate, to: 16_000)
            var stream = Resampler.Stream(resampler)
            var result: [Float] = []
            for part in split(
                samples, seed: UInt64(index), longest: index.isMultiple(of: 2) ? 50 : 900)
            {
                result += stream.append(part)
            }
            result += stream.finish()
            #expect(result == resampler.resample(samples), "\(count) samples")
        }
    }

    @Test(arguments: [0.5, 0.83, 1, 1.25, 2, 4])
    func tempoInPortions(factor: Double) throws {
        var generator = SeededGenerator(seed: 3)
        let samples = generator.normals(20_000).map { $0 * 0.1 }
        let whole = try Tempo.change(samples, sampleRate: 16_000, factor: factor)
        #expect(factor == 1 || whole.count == Int(20_000 / factor + 0.5))
        for seed in 0..<3 as Range<UInt64> {
            var stream = try TempoStream(sampleRate: 16_000, factor: factor)
            var result: [Float] = []
            for part in split(samples, seed: seed, longest: 3000) { result += stream.append(part) }
            result += stream.finish()
            #expect(result == whole)
        }
    }
}

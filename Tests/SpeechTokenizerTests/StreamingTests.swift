// The linguistic tokenizer as a stream: any split of a recording gives the codes of the whole, and
// their number follows from the length alone. Runs on the pocket bundle.

import Checkpoints
import Foundation
import SpeechTokenizer
import TensorCore
import Testing

struct StreamingTests {
    static let encoder = Result {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        return try LinguisticEncoder(
            BundleLayout(models: package.path + "/Models/pocket").audioTokenizer())
    }

    private func signal(_ count: Int) -> [Float] {
        var generator = SeededGenerator(seed: 8)
        return (0..<count).map { index in
            let time = Float(index) / 16_000
            return 0.3 * sin(2 * .pi * (300 + 200 * time) * time) + 0.05 * generator.normal()
        }
    }

    @Test(arguments: [
        879, 880, 1359, 1360, 2320, 3280, 3839, 3840, 3841, 4719, 4720, 9000, 25_000, 40_000,
    ])
    func theNumberOfCodesFollowsFromTheLength(count: Int) throws {
        let (whole, rest) = (count / 3840, count % 3840)
        let expected = 4 * whole + [880, 1360, 2320, 3280].count { rest >= $0 }
        #expect(try Self.encoder.get().codes(signal(count)).count == expected)
    }

    @Test(arguments: 0..<6)
    func anySplitGivesTheSameCodes(seed: Int) throws {
        let encoder = try Self.encoder.get()
        let samples = signal(31_234)
        let whole = encoder.codes(samples)
        var generator = SeededGenerator(seed: UInt64(seed))
        var stream = encoder.makeStream()
        var codes: [Int] = []
        var start = 0
        while start < samples.count {
            let end = min(samples.count, start + 1 + Int(generator.uniform() * 9000))
            codes += encoder.codes(
                samples[start..<end], isFinal: end == samples.count, stream: &stream)
            start = end
        }
        #expect(codes == whole)
        // A final portion starts the stream anew.
        #expect(encoder.codes(samples, isFinal: true, stream: &stream) == whole)
    }

    @Test func shortAndSilentRecordingsGiveNoErrors() throws {
        let encoder = try Self.encoder.get()
        #expect(encoder.codes([]).isEmpty)
        #expect(encoder.codes([Float](repeating: 0, count: 500)).isEmpty)
        #expect(encoder.codes([Float](repeating: 0, count: 16_000)).count == 16)
    }
}

struct PreparationTests {
    @Test func badSamplesAreNamed() {
        #expect(throws: SpeechTokenizerError.emptyAudio) {
            try AudioTokenizer.prepare([], sampleRate: 16_000, trim: false)
        }
        #expect(throws: SpeechTokenizerError.invalidSampleRate(0)) {
            try AudioTokenizer.prepare([0], sampleRate: 0, trim: false)
        }
        #expect(throws: SpeechTokenizerError.sampleNotFinite(index: 1, value: "inf")) {
            try AudioTokenizer.prepare([0, .infinity], sampleRate: 16_000, trim: false)
        }
    }

    @Test func levelsAndRates() throws {
        let half = [Float](repeating: 0.25, count: 80)
        #expect(
            try AudioTokenizer.prepare(half, sampleRate: 16_000, trim: false)
                .allSatisfy { abs($0 - 0.999) < 1e-6 })
        #expect(try AudioTokenizer.prepare(half, sampleRate: 8000, trim: false).count == 160)
        #expect(try AudioTokenizer.prepare(half, sampleRate: 48_000, trim: false).count == 27)
    }
}

// The tokenizer on a recording that is being made: whatever the portions and wherever the loudest sample, the
// tokens are those of the whole.

import AudioSignal
import Checkpoints
import Foundation
import SpeechTokenizer
import TensorCore
import Testing

struct LiveEncoderTests {
    static let tokenizer = Result {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        return try AudioTokenizer(
            BundleLayout(models: package.path + "/Models/pocket").audioTokenizer())
    }

    private func signal(_ seconds: Double, rate: Int, loudest: Double) -> [Float] {
        var generator = SeededGenerator(seed: 4)
        return (0..<Int(seconds * Double(rate))).map { index in
            let time = Double(index) / Double(rate)
            let level = abs(time - loudest * seconds) < 0.02 ? 0.6 : 0.2
            return Float(level * sin(2 * .pi * (200 + 90 * time) * time)) + 0.01
                * generator.normal()
        }
    }

    @Test(arguments: [(16_000, 0.1, 1), (22_050, 0.5, 2), (44_100, 0.95, 3), (8000, 0.3, 4)])
    func portionsChangeNothing(rate: Int, loudest: Double, seed: Int) throws {
        let tokenizer = try Self.tokenizer.get()
        // 2.4 s at 16 kHz are ten whole pieces.
        let samples = signal(2.4, rate: rate, loudest: loudest)
        let whole = try tokenizer.tokens(samples, sampleRate: rate, trim: false)
        var encoder = try LiveEncoder(tokenizer, sampleRate: rate)
        var generator = SeededGenerator(seed: UInt64(seed))
        var start = 0
        var most = 0
        while start < samples.count {
            let end = min(samples.count, start + 1 + Int(generator.uniform() * Double(rate) / 5))
            try encoder.append(Array(samples[start..<end]))
            most = max(most, encoder.encodedSamples)
            start = end
        }
        // Something was known before the end.
        #expect(most > 3840)
        #expect(try encoder.finish() == whole)
    }

    @Test func wholePiecesOfThirtySecondsDoNotWait() throws {
        let tokenizer = try Self.tokenizer.get()
        let samples = signal(31, rate: 16_000, loudest: 0.01)
        var encoder = try LiveEncoder(tokenizer, sampleRate: 16_000)
        for start in stride(from: 0, to: samples.count, by: 40_000) {
            try encoder.append(Array(samples[start..<min(start + 40_000, samples.count)]))
        }
        #expect(
            try encoder.finish() == tokenizer.tokens(samples, sampleRate: 16_000, trim: false))
    }

    @Test func whatCannotBeHeardIsRefused() throws {
        let tokenizer = try Self.tokenizer.get()
        #expect(throws: SpeechTokenizerError.invalidSampleRate(0)) {
            try LiveEncoder(tokenizer, sampleRate: 0)
        }
        var encoder = try LiveEncoder(tokenizer, sampleRate: 16_000)
        try encoder.append([0, 0.1])
        #expect(throws: SpeechTokenizerError.sampleNotFinite(index: 3, value: "nan")) {
            try encoder.append([0, .nan])
        }
        var empty = try LiveEncoder(tokenizer, sampleRate: 16_000)
        #expect(throws: SpeechTokenizerError.emptyAudio) { try empty.finish() }
    }
}

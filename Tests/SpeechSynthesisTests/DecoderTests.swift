// The decoder's parts by hand-checkable arithmetic, and the pocket decoder's determinism.

import AudioSignal
import Checkpoints
import Foundation
import SpeechSynthesis
import TensorCore
import Testing

struct DecoderPartTests {
    @Test func theTransformIsInvertible() {
        var generator = SeededGenerator(seed: 2)
        for (points, hop, count) in [(16, 4, 256), (20, 5, 305), (12, 3, 90)] {
            let transform = ShortTimeTransform(points: points, hop: hop)
            let signal = generator.normals(count)
            let back = transform.inverse(transform.forward(signal))
            #expect(back.count == count)
            // The first and last hop see too little of the window to be exact.
            for index in hop..<count - hop {
                #expect(abs(back[index] - signal[index]) < 1e-4)
            }
        }
    }

    @Test func theTransformOfACosineIsOneBin() {
        let transform = ShortTimeTransform(points: 16, hop: 4)
        let signal = (0..<160).map { Float(cos(2 * Double.pi * 3 * Double($0) / 16)) }
        let spectrum = transform.forward(signal)
        #expect(spectrum.shape == [41, 18])
        // A periodic Hann window of 16 points sums to 8: half of it on the bin itself.
        // Frame 22 starts at sample 80, a whole number of periods in.
        #expect(abs(spectrum[22, 3] - 4) < 1e-4)
        #expect(abs(spectrum[22, 6]) < 1e-4)
    }

    @Test func theSourceHasThePitch() throws {
        var configuration = VocoderConfiguration()
        configuration.harmonics = 0
        let source = HarmonicSource(configuration: configuration, weights: [1], bias: 0)
        let frames = 40
        let count = frames * configuration.samplesPerFrame
        let signal = source(
            f0: [Float](repeating: 220.5, count: frames),
            draws: .init(phases: [0], noise: [Float](repeating: 0, count: count)))
        // 22050 / 220.5 = 100 samples a period; the first sample is one step in.
        for index in 0..<count {
            let expected = tanh(0.1 * sin(2 * Double.pi * Double(index + 1) / 100))
            #expect(abs(Double(signal[index]) - expected) < 1e-5)
        }
        let silent = source(
            f0: [Float](repeating: 5, count: 2),
            draws: .init(phases: [0], noise: [Float](repeating: 3, count: 512)))
        #expect(silent.allSatisfy { abs($0 - tanh(0.1)) < 1e-6 })
    }

    @Test func theGridIsTheCosineOne() {
        let grid = FlowDecoder.grid(steps: 10, isCosine: true)
        let expected: [Float] = [
            0, 0.0123116, 0.0489435, 0.1089935, 0.1909830, 0.2928932, 0.4122148, 0.5460095,
            0.6909831, 0.8435655, 1,
        ]
        #expect(zip(grid, expected).allSatisfy { abs($0 - $1) < 1e-6 })
        #expect(FlowDecoder.grid(steps: 2, isCosine: false) == [0, 0.5, 1])
    }

    @Test func stretchingInterpolates() {
        let x = Tensor(shape: [2, 1], values: [0, 4])
        #expect(LengthRegulator.stretched(x, to: 4).values == [0, 1, 3, 4])
        #expect(LengthRegulator.stretched(x, to: 2).values == [0, 4])
        #expect(LengthRegulator.stretched(x, to: 1).values == [2])
    }

    @Test func positionsCountBackwards() {
        let rows = TokenEncoder.positions(count: 3, width: 4)
        #expect(rows.shape == [5, 4])
        // The middle row is distance 0; the first one distance 2 with sine first.
        #expect(rows.row(2) == [0, 1, 0, 1])
        #expect(abs(rows[0, 0] - sin(2)) < 1e-6)
        #expect(abs(rows[4, 1] - cos(-2)) < 1e-6)
    }

    @Test func seamsAreFaded() {
        let one = (0..<2000).map { 0.3 + 0.2 * sin(2 * Float.pi * 20 * Float($0) / 1000) }
        let joined = SpeechSynthesizer.joined(one, one, sampleRate: 1000)
        #expect(joined.count == 4000 + 120)
        #expect(joined[1989] == one[1989] && joined[1999] < 0.01)
        #expect(joined[2000..<2120].allSatisfy { $0 == 0 })
        #expect(joined[2120] < 0.01 && joined[2130] == one[10])
        #expect(Level.clicks(joined, sampleRate: 1000).isEmpty)
        #expect(SpeechSynthesizer.joined([], one, sampleRate: 1000) == one)
    }
}

struct PocketDecoderTests {
    static let files = Result {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        return try BundleLayout(models: package.path + "/Models/pocket").speechDecoder()
    }
    static let decoder = Result { try SpeechDecoder(files.get()) }

    private var prompt: FlowDecoder.Prompt {
        var generator = SeededGenerator(seed: 9)
        return FlowDecoder.Prompt(
            tokens: [], mel: Tensor(zeros: [0, 80]), embedding: generator.normals(192))
    }

    private func mel(tokens: Int, seed: UInt64) throws -> Tensor {
        var generator = SeededGenerator(seed: seed)
        let ids = (0..<tokens).map { $0 % 5 < 2 ? 3 + $0 % 7 : 600 + $0 % 11 }
        return try Self.decoder.get().mel(
            tokens: ids, prompt: prompt, options: FlowDecoder.Options(), generator: &generator)
    }

    @Test func theLengthFollowsTheTokens() throws {
        let decoder = try Self.decoder.get()
        for (tokens, frames) in [(5, 10), (50, 103), (100, 206), (250, 516)] {
            #expect(decoder.flow.frameCount(tokens: tokens) == frames)
        }
        let mel = try mel(tokens: 50, seed: 1)
        #expect(mel.shape == [103, 80])
        var generator = SeededGenerator(seed: 1)
        #expect(try decoder.samples(mel: mel, generator: &generator).count == 103 * 256)
    }

    @Test func theSeedDecidesAndThreadsDoNot() throws {
        let first = try mel(tokens: 25, seed: 4)
        Parallel.setThreadCount(1)
        let second = try mel(tokens: 25, seed: 4)
        Parallel.setThreadCount(0)
        #expect(first == second)
        #expect(try mel(tokens: 25, seed: 5) != first)
    }

    /// The batch of both halves of guidance against each half on its own.
    @Test(arguments: [7, 24, 60]) func guidanceMixesTwoVelocities(count: Int) throws {
        let flow = try Self.decoder.get().flow
        let tokens = (0..<count).map { $0 % 5 < 2 ? 3 + $0 % 7 : 600 + $0 % 11 }
        var generator = SeededGenerator(seed: UInt64(count))
        let mu = try flow.mu(tokens: tokens, prompt: [], promptFrames: 0)
        let noise = Tensor(shape: mu.shape, values: generator.normals(mu.values.count))
        var options = FlowDecoder.Options()
        options.steps = 1
        options.guidance = 0.6
        let result = try flow.mel(
            tokens: tokens, prompt: prompt, noise: noise, options: options)
        let nothing = Tensor(zeros: mu.shape)
        let given = flow.velocity(
            state: noise, mu: mu, speaker: flow.speaker(of: prompt.embedding),
            condition: nothing, time: 0)
        let free = flow.velocity(
            state: noise, mu: nothing, speaker: [Float](repeating: 0, count: 80),
            condition: nothing, time: 0)
        #expect(given != free)
        for place in noise.values.indices {
            let velocity = 1.6 * given.values[place] - 0.6 * free.values[place]
            #expect(abs(result.values[place] - noise.values[place] - velocity) < 2e-4)
        }
    }

    @Test func longRowsOfTokensGoThroughInPieces() throws {
        let count = 260 * 5
        let long = try mel(tokens: count, seed: 1)
        let frames = try Self.decoder.get().flow.frameCount(tokens: count)
        #expect(abs(long.rows - frames) <= 1)
        #expect(long.values.allSatisfy { $0.isFinite })
    }

    @Test func tokensOutsideTheTableAreNamed() throws {
        var generator = SeededGenerator(seed: 1)
        let decoder = try Self.decoder.get()
        let error = #expect(throws: SpeechSynthesisError.self) {
            try decoder.mel(
                tokens: [0, 99_999], prompt: prompt, options: FlowDecoder.Options(),
                generator: &generator)
        }
        #expect(
            error?.description
                == "token 1 is <audio_99999>; 0 to \(decoder.tokenCount - 1) are accepted")
        #expect(throws: SpeechSynthesisError.noTokens) {
            try decoder.mel(
                tokens: [], prompt: prompt, options: FlowDecoder.Options(), generator: &generator)
        }
    }

    @Test func shortVoicesAreRefused() throws {
        let analyzer = try VoiceAnalyzer(Self.files.get())
        let clip = AudioClip(mono: [Float](repeating: 0.1, count: 1600), sampleRate: 16_000)
        #expect(throws: SpeechSynthesisError.promptTooShort(seconds: 0.1, least: 0.2)) {
            try analyzer.prompt(clip, tokens: [])
        }
    }

    @Test func theSameVoiceHasNearlyTheSameEmbedding() throws {
        let encoder = try VoiceAnalyzer(Self.files.get()).speakerEncoder
        var generator = SeededGenerator(seed: 3)
        let tone = (0..<32_000).map { Float(sin(Double($0) * 0.05)) * 0.3 }
        let noise = generator.normals(32_000)
        func cosine(_ a: [Float], _ b: [Float]) -> Float {
            func dot(_ x: [Float], _ y: [Float]) -> Float {
                zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
            }
            return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
        }
        let first = try encoder.embedding(tone)
        let louder = try encoder.embedding(tone.map { $0 * 2 })
        let other = try encoder.embedding(noise)
        #expect(first.count == 192)
        #expect(cosine(first, louder) > 0.999)
        #expect(cosine(first, other) < 0.9)
    }
}

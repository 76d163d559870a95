// Decoding in growing chunks: the vocoder's stream is exact, the joints are inaudible, the seed decides.

import AudioSignal
import Checkpoints
import Foundation
import SpeechSynthesis
import TensorCore
import Testing

struct DecoderStreamTests {
    /// Tokens of speech: the voice prompt's own would be another module's work, so a walk over the codes.
    private func tokens(_ count: Int) -> [Int] {
        var generator = SeededGenerator(seed: 5)
        var (linguistic, semantic) = (40, 700)
        return (0..<count).map { index in
            linguistic = (linguistic + Int(generator.uniform() * 3)) % 400
            semantic = 600 + (semantic - 600 + Int(generator.uniform() * 5)) % 300
            return index % 5 < 2 ? linguistic : semantic
        }
    }

    private var voice: FlowDecoder.Prompt {
        get throws {
            let analyzer = try VoiceAnalyzer(PocketDecoderTests.files.get())
            let samples = (0..<22_050).map { index -> Float in
                let time = Double(index) / 22_050
                return Float(0.2 * sin(2 * .pi * 180 * time) * (1 + sin(2 * .pi * 4 * time)))
            }
            return try analyzer.prompt(
                AudioClip(mono: samples, sampleRate: 22_050), tokens: tokens(40))
        }
    }

    private func stream(
        _ tokens: [Int], pace: StreamPace = StreamPace(), seed: UInt64 = 3
    ) throws -> [[Float]] {
        var stream = try DecoderStream(
            decoder: PocketDecoderTests.decoder.get(), prompt: voice,
            options: FlowDecoder.Options(),
            pace: pace, seed: seed)
        var chunks: [[Float]] = []
        var taken = 0
        while taken < tokens.count {
            let end = min(tokens.count, taken + pace.tokens(ofChunk: chunks.count))
            chunks.append(
                try stream.append(Array(tokens[taken..<end]), isFinal: end == tokens.count))
            taken = end
        }
        return chunks
    }

    @Test func theVocoderInPiecesIsTheVocoderAtOnce() throws {
        let vocoder = try PocketDecoderTests.decoder.get().vocoder
        var noise = SeededGenerator(seed: 1)
        let mel = try PocketDecoderTests.decoder.get().mel(
            tokens: tokens(75), prompt: voice, options: FlowDecoder.Options(), generator: &noise)
        var generator = SeededGenerator(seed: 2)
        let whole = try vocoder(mel, generator: &generator)
        var stream = VocoderStream(vocoder: vocoder, generator: SeededGenerator(seed: 2))
        var samples: [Float] = []
        var start = 0
        for count in [3, 40, 1, 25, 60, 10_000] {
            let end = min(mel.rows, start + count)
            let future = mel.rows(end..<min(mel.rows, end + vocoder.reach))
            samples += try stream.append(mel.rows(start..<end), future: future)
            start = end
        }
        #expect(samples.count == whole.count)
        let worst = zip(samples, whole).map { abs($0 - $1) }.max() ?? 1
        #expect(worst < 2e-4)
    }

    @Test func streamedSpeechIsAsLongAndCloseToTheWhole() throws {
        let tokens = tokens(230)
        let samples = try stream(tokens).flatMap(\.self)
        let whole = try SpeechSynthesizer.decode(
            tokens, voice: voice, decoder: PocketDecoderTests.decoder.get(),
            flow: FlowDecoder.Options(), seed: 3
        ).samples
        #expect(samples.count == whole.count)
        #expect(samples.allSatisfy { $0.isFinite })
        let analyzer = try VoiceAnalyzer(PocketDecoderTests.files.get())
        let (left, right) = (
            analyzer.melSpectrogram(whole).values, analyzer.melSpectrogram(samples).values
        )
        let mean = left.reduce(0, +) / Float(left.count)
        let signal = left.reduce(0.0) { $0 + Double(($1 - mean) * ($1 - mean)) }
        let difference = zip(left, right).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
        let ratio = 10 * log10(signal / difference)
        #expect(ratio >= StreamPace.leastMelRatio, "\(ratio) dB")
    }

    /// The sharpest bend within a millisecond of a joint is no sharper than those around it.
    @Test func nothingClicksAtTheJoints() throws {
        let chunks = try stream(tokens(300))
        let samples = chunks.flatMap(\.self)
        #expect(chunks.count >= 4)
        let bends: [Float] = samples.indices.map { index in
            guard index > 0, index + 1 < samples.count else { return 0 }
            let sides: Float = samples[index - 1] + samples[index + 1]
            return abs(sides - 2 * samples[index])
        }
        func bend(_ range: Range<Int>) -> Float {
            bends[range.clamped(to: bends.indices)].max() ?? 0
        }
        let median = bends.sorted()[bends.count / 2]
        var joint = 0
        for chunk in chunks.dropLast() {
            joint += chunk.count
            let here = bend(joint - 22..<joint + 22)
            let around = max(bend(joint - 660..<joint - 22), bend(joint + 22..<joint + 660))
            #expect(here <= 1.3 * around + 4 * median, "\(here) among \(around) at \(joint)")
        }
    }

    @Test func theSeedDecides() throws {
        let tokens = tokens(90)
        let first = try stream(tokens)
        Parallel.setThreadCount(1)
        let second = try stream(tokens)
        Parallel.setThreadCount(0)
        #expect(first == second)
        #expect(try stream(tokens, seed: 4) != first)
    }

    @Test func whatEndsWithItsFirstTokensIsDecodedWhole() throws {
        let tokens = tokens(20)
        let whole = try SpeechSynthesizer.decode(
            tokens, voice: voice, decoder: PocketDecoderTests.decoder.get(),
            flow: FlowDecoder.Options(), seed: 3
        ).samples
        #expect(try stream(tokens) == [whole])
    }

    /// An end that brings no tokens gives what was held back.
    @Test func anEndWithoutTokensGivesTheRest() throws {
        let tokens = tokens(50)
        var stream = try DecoderStream(
            decoder: PocketDecoderTests.decoder.get(), prompt: voice,
            options: FlowDecoder.Options(),
            pace: StreamPace(), seed: 1)
        let first = try stream.append(tokens, isFinal: false)
        let last = try stream.append([], isFinal: true)
        #expect(first.count + last.count == 103 * 256)
        #expect(!last.isEmpty)
    }
}

struct SpeechJoinerTests {
    @Test(arguments: 0..<5 as Range<UInt64>)
    func chunksJoinLikeWholeSentences(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let sentences = (0..<4).map { _ in generator.normals(1 + Int(generator.uniform() * 900)) }
        let rate = 2000
        var joiner = SpeechJoiner(sampleRate: rate)
        var result: [Float] = []
        for (index, sentence) in sentences.enumerated() {
            if index > 0 { result += joiner.nextSentence() }
            var start = 0
            while start < sentence.count {
                let end = min(sentence.count, start + 1 + Int(generator.uniform() * 300))
                result += joiner.append(Array(sentence[start..<end]))
                start = end
            }
        }
        result += joiner.finish()
        let whole = sentences.reduce([]) {
            SpeechSynthesizer.joined($0, $1, sampleRate: rate)
        }
        #expect(result.count == whole.count)
        // A sentence shorter than two fades meets them in another order.
        #expect(zip(result, whole).allSatisfy { abs($0 - $1) < 1e-6 })
    }
}

struct GrowingTokensTests {
    private let layout = TokenLayout(firstID: 100, linguisticCount: 50, count: 120)

    private func ids(_ groups: Int, seed: UInt64) -> [Int] {
        var generator = SeededGenerator(seed: seed)
        return (0..<groups * 5).map { index in
            100 + (index % 5 < 2 ? 0 : 50) + Int(generator.uniform() * (index % 5 < 2 ? 50 : 70))
        }
    }

    private func grow(_ ids: [Int]) -> GrowingTokens {
        var growing = GrowingTokens(layout: layout)
        for id in ids { growing.append(id) }
        return growing
    }

    @Test func whatWasReadyStays() {
        let ids = ids(20, seed: 9)
        var growing = GrowingTokens(layout: layout)
        var ready: [Int] = []
        for id in ids {
            growing.append(id)
            #expect(growing.tokens.starts(with: ready))
            ready = growing.tokens
        }
    }

    @Test func circlesEnd() {
        let circle = ids(2, seed: 1)
        let growing = grow(ids(5, seed: 2) + (0..<20).flatMap { _ in circle })
        #expect(growing.isRunaway)
        // Five groups, then three rounds of two.
        #expect(growing.tokens.count == (5 + 6) * 5)
        #expect(
            growing.findings(endsProperly: true).contains { $0.description.contains("runaway") })
    }

    @Test func pausesMayBeLong() {
        let pause = ids(1, seed: 3)
        let growing = grow((0..<16).flatMap { _ in pause } + ids(4, seed: 4))
        #expect(growing.tokens.count == 20 * 5)
    }
}

// Features and effects against figures computed with torchaudio, librosa and Whisper's own code.

import AudioSignal
import Foundation
import TensorCore
import Testing

/// Two tones: 0.3 sin(2 pi 440 t) + 0.1 sin(2 pi 1333 t).
private func tones(_ count: Int, rate: Int = 16_000) -> [Float] {
    (0..<count).map { index in
        let t = Double(index) / Double(rate)
        return Float(0.3 * sin(2 * .pi * 440 * t) + 0.1 * sin(2 * .pi * 1333 * t))
    }
}

struct ReferenceTests {
    struct Resampling: Sendable {
        let rate: Int
        let values: [Float]  // y[0], y[1], y[100], y[1599]
        let sum: Double
        let power: Double
    }

    @Test(arguments: [
        Resampling(
            rate: 24_000, values: [0.006783, 0.100289, -0.212854, 0.050865], sum: 0.205971,
            power: 80.06306),
        Resampling(
            rate: 44_100, values: [0.009779, 0.100120, -0.212865, 0.053483], sum: 0.210675,
            power: 80.06343),
        Resampling(
            rate: 48_000, values: [0.009963, 0.100116, -0.212865, 0.053653], sum: 0.210975,
            power: 80.06339),
        Resampling(
            rate: 22_050, values: [0.005943, 0.100372, -0.212868, 0.050159], sum: 0.204705,
            power: 80.06306),
        Resampling(
            rate: 32_000, values: [0.008688, 0.100153, -0.212863, 0.052511], sum: 0.208926,
            power: 80.06270),
    ])
    func resamplingEqualsTorchaudio(_ expected: Resampling) {
        let input = tones(expected.rate / 10, rate: expected.rate)
        let y = Resampler(from: expected.rate, to: 16_000).resample(input)
        #expect(y.count == 1600)
        for (index, value) in zip([0, 1, 100, 1599], expected.values) {
            #expect(abs(y[index] - value) < 2e-6, "y[\(index)] = \(y[index])")
        }
        #expect(abs(y.reduce(0.0) { $0 + Double($1) } - expected.sum) < 2e-5)
        #expect(abs(y.reduce(0.0) { $0 + Double($1) * Double($1) } - expected.power) < 1e-4)
    }

    /// Rates without a common divisor keep only the taps under the window; the sum is the definition's.
    @Test(arguments: [(44_101, 16_000), (16_001, 22_050), (767_999, 16_000)])
    func oddRatesFollowTheDefinition(_ source: Int, _ target: Int) {
        let input = tones(source / 50, rate: source)
        let y = Resampler(from: source, to: target).resample(input)
        #expect(y.count == (input.count * target + source - 1) / source)
        let base = 0.99 * Double(min(source, target)) / Double(source)
        for index in [0, 1, 57, y.count / 2, y.count - 1] {
            let centre = Double(index) * Double(source) / Double(target)
            let sum = input.indices.reduce(0.0) { sum, n in
                let t = (Double(n) - centre) * base
                guard abs(t) < 6 else { return sum }
                let sinc = t == 0 ? 1 : sin(.pi * t) / (.pi * t)
                return sum + Double(input[n]) * base * sinc * pow(cos(.pi * t / 12), 2)
            }
            #expect(abs(Double(y[index]) - sum) < 1e-5, "y[\(index)] = \(y[index])")
        }
    }

    @Test func tempoRefusesRatesBelowItsSegments() throws {
        #expect(throws: AudioError.tempoRate(199)) {
            try Tempo.change(tones(500), sampleRate: 199, factor: 1.5)
        }
        #expect(try Tempo.change(tones(500), sampleRate: 200, factor: 1.5).count == 333)
    }

    @Test func trimEqualsLibrosa() {
        func tone(_ n: Int, _ amplitude: Double, _ frequency: Double) -> Float {
            Float(amplitude * sin(2 * .pi * frequency * Double(n) / 16_000))
        }
        let quietEnds = (0..<24_000).map { n in
            (6000..<15_000).contains(n) ? tone(n, 0.5, 300) : tone(n, 0.002, 500)
        }
        #expect(SilenceTrim.loudRange(quietEnds) == 5760..<15_360)
        #expect(SilenceTrim.trimmed(quietEnds) == Array(quietEnds[4960..<4960 + 13_920]))
        let earlyStart = (0..<9000).map { n in (300..<8000).contains(n) ? tone(n, 0.5, 300) : 0 }
        #expect(SilenceTrim.loudRange(earlyStart) == 128..<8320)
        let padded = SilenceTrim.trimmed(earlyStart)
        #expect(padded.count == 12_720)
        #expect(padded.prefix(672).allSatisfy { $0 == 0 } && padded[672 + 301] == earlyStart[301])
        let silence = [Float](repeating: 0, count: 5000)
        #expect(SilenceTrim.loudRange(silence) == 0..<5000)
        #expect(SilenceTrim.trimmed(silence).count == 9360)
    }

    @Test func filterBankEqualsTorchaudio() {
        let bank = KaldiFilterBank(window: .hamming, scale: 32_768)
        let features = bank.features(tones(16_000))
        #expect(features.shape == [98, 80])
        let mean = features.values.reduce(0, +) / Float(features.values.count)
        #expect(abs(mean - 13.41702) < 1e-3)
        #expect(abs((features.values.max() ?? 0) - 24.36807) < 1e-3)
        #expect(abs((features.values.min() ?? 0) - 4.84809) < 1e-3)
        for (row, column, value) in [
            (0, 0, 10.66213), (0, 17, 12.86794), (50, 17, 13.17868), (50, 36, 13.88254),
            (50, 40, 12.83908), (97, 79, 11.34312),
        ] as [(Int, Int, Float)] {
            #expect(abs(features[row, column] - value) < 1e-3)
        }
    }

    @Test func whisperMelEqualsWhisper() {
        let features = WhisperMel(melCount: 128).features(tones(16_000))
        #expect(features.shape == [100, 128])
        let mean = features.values.reduce(0, +) / Float(features.values.count)
        #expect(abs(mean + 0.419642) < 1e-4)
        for (mel, frame, value) in [
            (0, 0, 0.818498), (10, 0, 0.890869), (20, 50, 1.176465), (127, 99, -0.555938),
            (64, 50, -0.625568),
        ] as [(Int, Int, Float)] {
            #expect(abs(features[frame, mel] - value) < 1e-4)
        }
        let silent = WhisperMel(melCount: 128).features([Float](repeating: 0, count: 1600))
        #expect(silent.values.allSatisfy { $0 == -1.5 })
    }

    @Test func promptMelHasOneFrameAHop() {
        let mel = PromptMel().features(tones(22_050, rate: 22_050))
        #expect(mel.shape == [86, 80])
        #expect(PromptMel().features([0, 0, 0]).rows == 1)
        #expect(
            PromptMel().features([Float](repeating: 0, count: 512)).values.allSatisfy {
                abs($0 - Float(log(1e-5))) < 0.1
            })
    }

    @Test(arguments: [0.5, 0.9, 1.1, 2, 3.7]) func tempoKeepsLengthAndPitch(factor: Double) throws {
        let input = tones(30_000, rate: 22_050)
        let output = try Tempo.change(input, sampleRate: 22_050, factor: factor)
        #expect(output.count == Int(30_000 / factor + 0.5))
        func crossings(_ x: ArraySlice<Float>) -> Double {
            let count = zip(x, x.dropFirst()).count { $0 < 0 && $1 >= 0 }
            return Double(count) / Double(x.count)
        }
        let middle = output[output.count / 4..<output.count * 3 / 4]
        #expect(abs(crossings(middle) / crossings(input[5000..<25_000]) - 1) < 0.06)
        #expect(try Tempo.change(input, sampleRate: 22_050, factor: 1) == input)
    }

    @Test func volumeClips() throws {
        let output = try Level.volume([0.5, -0.5, 0.25], factor: 2.5)
        #expect(output[0] == 1 && output[1] == -1 && abs(output[2] - 0.625) < 1e-7)
        #expect(throws: AudioError.badVolume(-1)) { try Level.volume([0], factor: -1) }
        #expect(throws: AudioError.badTempo(0.05)) {
            try Tempo.change([0], sampleRate: 8000, factor: 0.05)
        }
    }

    @Test func normalizationKeepsSilence() {
        #expect(Level.normalized([0, 0]) == [0, 0])
        #expect(Level.normalized([0.5, -0.25]) == [0.999, -0.4995])
        #expect(Level.normalized([0.001]) == [(0.001 / 0.01) * 0.999])
    }

    @Test func transformEqualsItsDefinition() {
        for count in [1, 2, 7, 16, 30, 49, 400] {
            var random = SeededGenerator(seed: UInt64(count))
            let x = (0..<count).map { _ in Double(random.normal()) }
            let (real, imaginary) = FourierTransform(count: count).forward(x)
            for bin in [0, count / 3, count - 1] {
                var (re, im) = (0.0, 0.0)
                for (n, value) in x.enumerated() {
                    let angle = -2 * Double.pi * Double(n * bin) / Double(count)
                    re += value * cos(angle)
                    im += value * sin(angle)
                }
                #expect(abs(re - real[bin]) < 1e-9 && abs(im - imaginary[bin]) < 1e-9)
            }
        }
    }

    // 48,000 to 16,000 shares a divisor; the other pairs do not, or hardly.
    @Test(arguments: [(48_000, 16_000), (8000, 16_000), (44_101, 16_000), (15_999, 24_000)])
    func resamplingAStreamGivesTheWhole(source: Int, target: Int) {
        let resampler = Resampler(from: source, to: target)
        let signal = tones(source / 3 + 7)
        let whole = resampler.resample(signal)
        for portion in [1009, 4096] {
            var stream = Resampler.Stream(resampler)
            var result: [Float] = []
            var start = 0
            while start < signal.count {
                let end = min(start + portion, signal.count)
                result += stream.append(Array(signal[start..<end]))
                start = end
            }
            result += stream.finish()
            #expect(result == whole)
        }
    }

    @Test func clickDetectorFindsAJump() {
        var signal = tones(8000)
        #expect(Level.clicks(signal, sampleRate: 16_000).isEmpty)
        signal[4000] += 0.5
        #expect(Level.clicks(signal, sampleRate: 16_000).contains(4000))
    }
}

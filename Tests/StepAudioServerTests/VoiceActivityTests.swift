// The detector of speech, on the bundle's recordings and on what is no speech.

import AudioSignal
import Foundation
import StepAudio
import TensorCore
import Testing

import StepAudioServer

struct VoiceActivityTests {
    static let recordings =
        (try? FileManager.default.contentsOfDirectory(atPath: RouteClient.bundle + "/questions"))?
        .filter { $0.hasSuffix(".wav") }.sorted() ?? []

    private func speech(_ name: String) throws -> [Float] {
        try AudioFile.read(path: RouteClient.bundle + "/questions/" + name).mono(atRate: 24_000)
    }

    private func noise(_ count: Int, level: Float) -> [Float] {
        var generator = SeededGenerator(seed: 5)
        return (0..<count).map { _ in Float.random(in: -1...1, using: &generator) * level }
    }

    /// What happens in a signal that comes in pieces of 10 ms and a bit.
    private func events(
        _ samples: [Float], _ settings: VoiceActivityDetector.Settings = .init()
    ) -> [VoiceActivityDetector.Event] {
        var detector = VoiceActivityDetector()
        detector.settings = settings
        return stride(from: 0, to: samples.count, by: 251).flatMap { start in
            detector.append(Array(samples[start..<min(samples.count, start + 251)]))
        }
    }

    @Test(arguments: recordings, [Float(0), 0.003])
    func findsEveryQuestion(name: String, room: Float) throws {
        let question = try speech(name)
        let pause = [Float](repeating: 0, count: 24_000)
        let quiet = pause + question + pause
        let whole = zip(quiet, noise(quiet.count, level: room)).map { $0 + $1 }
        let found = events(whole)
        #expect(found.count == 2, "\(found)")
        guard case .started(let start) = found.first, case .stopped(let end) = found.last else {
            Issue.record("\(found)")
            return
        }
        // The recordings have 0.3 and 0.5 s of silence of their own; 0.3 s of it are taken along.
        let heard = try #require(sound(in: question))
        #expect(abs(start + 7200 - 24_000 - heard.lowerBound) < 6000, "starts at \(start)")
        #expect(abs(end - 24_000 - heard.upperBound) < 6000, "ends at \(end)")
    }

    /// From the first to the last 20 ms that are louder than -44 dB.
    private func sound(in samples: [Float]) -> Range<Int>? {
        let loud = stride(from: 0, to: samples.count - 480, by: 480).filter { start in
            let power = samples[start..<start + 480].reduce(0) { $0 + $1 * $1 } / 480
            return power > 0.006 * 0.006
        }
        guard let first = loud.first, let last = loud.last else { return nil }
        return first..<last + 480
    }

    @Test(arguments: [Float(0.001), 0.02, 0.2, 0.9])
    func hearsNoSpeechInNoise(level: Float) {
        let quiet = [Float](repeating: 0, count: 12_000)
        #expect(events(quiet + noise(96_000, level: level) + quiet).isEmpty)
    }

    @Test func hearsNoSpeechInSilenceHumAndClicks() {
        #expect(events([Float](repeating: 0, count: 96_000)).isEmpty)
        let hum = (0..<96_000).map { Float(sin(2 * .pi * 50 * Double($0) / 24_000)) * 0.2 }
        #expect(events(hum).isEmpty)
        var clicks = [Float](repeating: 0, count: 96_000)
        for index in stride(from: 5000, to: 96_000, by: 9000) { clicks[index] = 0.9 }
        #expect(events(clicks).isEmpty)
    }

    @Test func patienceIsASetting() throws {
        let name = try #require(Self.recordings.first)
        let question = try speech(name)
        let gap = [Float](repeating: 0, count: 24_000 * 8 / 10)
        let pause = [Float](repeating: 0, count: 96_000)
        let twice = pause + question + gap + question + pause
        #expect(events(twice).count == 4)
        var patient = VoiceActivityDetector.Settings()
        patient.silenceMilliseconds = 2500  // the recording's own silence adds 0.8 s to the gap
        #expect(events(twice, patient).count == 2)
    }

    @Test func aStrictThresholdHearsLess() throws {
        let name = try #require(Self.recordings.first)
        var strict = VoiceActivityDetector.Settings()
        strict.threshold = 1
        let pause = [Float](repeating: 0, count: 24_000)
        let soft = try speech(name).map { $0 * 0.002 }
        #expect(events(pause + soft + pause, strict).isEmpty)
    }
}

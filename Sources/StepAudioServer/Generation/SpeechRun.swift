// One text on its way to speech, with the figures that clients and metrics want.

import Foundation
import StepAudio

/// What speaking a text took.
struct SpeechFigures: Sendable {
    var audioTokens = 0
    var seconds = 0.0
    var timings = Timings()
    var repairs: [String] = []
    /// From the request to the first samples.
    var firstAudioSeconds: Double?
    /// From the request to the last samples.
    var totalSeconds = 0.0

    /// Time over length of the speech.
    var realTimeFactor: Double? { seconds > 0 ? totalSeconds / seconds : nil }
}

extension Backend {
    /// Speaks a text; `onChunk` hears every piece as soon as it is there.
    func speak(
        _ text: String, options: SpeechOptions, since start: ContinuousClock.Instant,
        onChunk: @Sendable (SpeechChunk) async throws -> Void
    ) async throws -> SpeechFigures {
        var figures = SpeechFigures()
        var isFinished = false
        for try await event in system.streamSpeech(text, options: options) {
            switch event {
            case .chunk(let chunk):
                if figures.firstAudioSeconds == nil {
                    figures.firstAudioSeconds = start.secondsUntilNow
                }
                figures.seconds += chunk.seconds
                try await onChunk(chunk)
            case .finished(let spoken):
                isFinished = true
                figures.audioTokens = spoken.speech.tokens.count
                figures.timings = spoken.timings
                figures.repairs = spoken.speech.repairs
            }
        }
        try Task.checkCancellation()
        guard isFinished else { throw CancellationError() }
        figures.totalSeconds = start.secondsUntilNow
        return figures
    }

    /// Counts what was spoken.
    func count(_ figures: SpeechFigures, endpoint: String) {
        metrics.add(
            "stepaudio_tokens_total", Double(figures.audioTokens), [("kind", "speech")])
        metrics.add("stepaudio_speech_seconds_total", figures.seconds)
        if let first = figures.firstAudioSeconds {
            metrics.observe("stepaudio_first_audio_seconds", first, [("endpoint", endpoint)])
        }
        if let factor = figures.realTimeFactor {
            metrics.observe("stepaudio_real_time_factor", factor, [("endpoint", endpoint)])
        }
    }
}

/// Timings as replies carry them, in seconds.
struct WireTimings: Codable, Sendable {
    var load: Double
    var encode: Double
    var chat: Double
    var speechTokens: Double
    var flow: Double
    var vocoder: Double
    var adjust: Double
    /// From the request to the first samples; null where nothing was spoken.
    var firstAudio: Double?
    /// From the request to the end of the work.
    var total: Double
    /// Length of the speech.
    var speech: Double?
    var realTimeFactor: Double?

    init(_ timings: Timings, total: Double, speech: SpeechFigures? = nil) {
        func rounded(_ value: Double) -> Double { (value * 10_000).rounded() / 10_000 }
        load = rounded(timings.load)
        encode = rounded(timings.encode)
        chat = rounded(timings.chat)
        speechTokens = rounded(timings.speechTokens)
        flow = rounded(timings.flow)
        vocoder = rounded(timings.vocoder)
        adjust = rounded(timings.adjust)
        self.total = rounded(total)
        firstAudio = speech?.firstAudioSeconds.map(rounded)
        self.speech = speech.map { rounded($0.seconds) }
        realTimeFactor = speech?.realTimeFactor.map(rounded)
    }

    /// The same as a `Server-Timing` field, in milliseconds.
    var serverTiming: String {
        let stages = [
            ("load", load), ("encode", encode), ("chat", chat), ("speech_tokens", speechTokens),
            ("flow", flow), ("vocoder", vocoder), ("adjust", adjust),
            ("first_audio", firstAudio ?? 0), ("total", total),
        ]
        return stages.filter { $0.1 > 0 }
            .map { "\($0.0);dur=\(($0.1 * 10_000).rounded() / 10)" }.joined(separator: ", ")
    }
}

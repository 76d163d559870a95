// Tells speech from everything else, 20 ms at a time: how far the sound rises above the room, how
// periodic it is, and how far its spectrum is from flat. Noise may be loud, but it has no pitch.

import AudioSignal
import Foundation

/// Hears when somebody begins and stops to speak.
package struct VoiceActivityDetector {
    /// What happened, in samples since the beginning.
    package enum Event: Equatable {
        /// Speech began; `start` is where it is taken to begin, padding included.
        case started(start: Int)
        /// Speech ended; `end` is where its last sound was.
        case stopped(end: Int)
    }

    /// OpenAI's defaults for `server_vad`.
    package struct Settings: Equatable {
        /// How sure to be, from 0 to 1.
        package var threshold = 0.5
        /// What is taken along from before the first sound, in milliseconds.
        package var prefixPaddingMilliseconds = 300
        /// How long it must be quiet, in milliseconds.
        package var silenceMilliseconds = 500

        package init() {}
    }

    package var settings = Settings()
    /// Samples that were heard.
    package private(set) var position = 0
    /// Whether somebody speaks.
    package private(set) var isSpeaking = false

    private let sampleRate: Int
    private let frame: Int
    private let transform: FourierTransform
    private let window: [Double]
    private var pending: [Float] = []
    private var previous: [Float]
    private var floor = -60.0
    private var recent: [Double] = []
    /// Where the last sound of speech was.
    package private(set) var lastSound = 0

    /// Listens to sound of this rate, which is at least 8 kHz.
    package init(sampleRate: Int = 24_000) {
        self.sampleRate = sampleRate
        let frame = sampleRate / 50
        self.frame = frame
        transform = FourierTransform(count: frame)
        window = (0..<frame).map { 0.5 - 0.5 * cos(2 * .pi * Double($0) / Double(frame)) }
        previous = [Float](repeating: 0, count: frame)
    }

    /// Hears the next samples.
    package mutating func append(_ samples: [Float]) -> [Event] {
        pending += samples
        var events: [Event] = []
        var used = 0
        while pending.count - used >= frame {
            let current = Array(pending[used..<used + frame])
            used += frame
            position += frame
            if let event = hear(current) { events.append(event) }
            previous = current
        }
        pending.removeFirst(used)
        return events
    }

    /// Forgets what was heard of a speech; the room stays known.
    package mutating func reset() {
        isSpeaking = false
        recent = []
    }

    private mutating func hear(_ samples: [Float]) -> Event? {
        let sure = probability(samples)
        recent.append(sure)
        if recent.count > 4 { recent.removeFirst() }
        let hits = recent.count { $0 >= settings.threshold }
        if sure >= settings.threshold { lastSound = position }
        if !isSpeaking, hits >= 3 {
            isSpeaking = true
            lastSound = position
            let padding = settings.prefixPaddingMilliseconds * sampleRate / 1000
            return .started(start: max(0, position - recent.count * frame - padding))
        }
        let silence = settings.silenceMilliseconds * sampleRate / 1000
        if isSpeaking, position - lastSound >= silence {
            isSpeaking = false
            recent = []
            return .stopped(end: lastSound)
        }
        return nil
    }

    /// How sure it is that these 20 ms are speech.
    package mutating func probability(_ samples: [Float]) -> Double {
        let power = transform.power(zip(samples, window).map { Double($0) * $1 })
        // 200 Hz to 4 kHz: the window spreads the mains' hum over everything below.
        let band = Array(power[4...min(80, power.count - 1)])
        let mean = band.reduce(0, +) / Double(band.count)
        let scale = Double(frame) * Double(frame) / 16
        let level = 10 * log10(mean / scale + 1e-12)
        let rise = level - floor
        defer {
            // The room is followed down at once and up by 4 dB a second.
            floor = level < floor ? floor + 0.3 * (level - floor) : min(level, floor + 0.08)
            floor = max(-75, floor)
        }
        let energy = min(1, max(0, (rise - 3) / 10))
        guard energy > 0, level > -65 else { return 0 }
        let logs = band.reduce(0) { $0 + log($1 + 1e-12) } / Double(band.count)
        let flatness = exp(logs) / (mean + 1e-12)
        let tonality = min(1, max(0, (0.4 - flatness) / 0.3))
        let voicing = min(1, max(0, (periodicity(samples) - 0.35) / 0.3))
        return energy * (0.2 + 0.8 * max(voicing, 0.5 * tonality + 0.5 * voicing))
    }

    /// The largest normalised autocorrelation over the pitches of voices, 70 to 400 Hz, in the last
    /// 40 ms.
    private func periodicity(_ samples: [Float]) -> Double {
        let factor = max(1, sampleRate / 8000)
        let whole = previous + samples
        var reduced = stride(from: 0, to: whole.count - factor + 1, by: factor).map { start in
            whole[start..<start + factor].reduce(0, +) / Float(factor)
        }
        let mean = reduced.reduce(0, +) / Float(max(1, reduced.count))
        for index in reduced.indices { reduced[index] -= mean }
        let rate = sampleRate / factor
        var best: Float = 0
        for lag in (rate / 400)...(rate / 70) where lag < reduced.count / 2 {
            var (product, left, right) = (Float(0), Float(1e-9), Float(1e-9))
            for index in 0..<reduced.count - lag {
                product += reduced[index] * reduced[index + lag]
                left += reduced[index] * reduced[index]
                right += reduced[index + lag] * reduced[index + lag]
            }
            best = max(best, product / (left * right).squareRoot())
        }
        return Double(best)
    }
}

// The stages of sound: resampling, levels, trimming, tempo.

import AudioSignal
import TensorCore

extension Conformance {
    static let audioStages: [String: Stage] = [
        "audio.resample": { _, inputs in
            let rates = try (inputs.integer("rate"), inputs.integer("target_rate"))
            for rate in [rates.0, rates.1] where !AudioClip.acceptedRates.contains(rate) {
                throw AudioError.badRate(rate)
            }
            let result = Resampler(from: rates.0, to: rates.1)
                .resample(try inputs.floats("waveform"))
            return [.vector("waveform", result, .maximum(1e-5))]
        },
        "audio.normalize": { _, inputs in
            let result = Level.normalized(try inputs.floats("waveform"))
            return [.vector("waveform", result, .maximum(1e-5))]
        },
        "audio.trim": { _, inputs in
            let result = SilenceTrim.trimmed(try inputs.floats("waveform"))
            return [.vector("waveform", result, .maximum(1e-5))]
        },
        "audio.tempo": { _, inputs in
            let rate = try inputs.integer("rate")
            guard AudioClip.acceptedRates.contains(rate) else { throw AudioError.badRate(rate) }
            let result = try Tempo.change(
                inputs.floats("waveform"), sampleRate: rate, factor: Double(inputs.float("factor")))
            return [.vector("waveform", result, .signalToNoise(60))]
        },
        "audio.volume": { _, inputs in
            let result = try Level.volume(
                inputs.floats("waveform"), factor: Double(inputs.float("factor")))
            return [.vector("waveform", result, .maximum(1e-5))]
        },
    ]
}

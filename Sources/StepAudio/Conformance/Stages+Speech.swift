// The stages from tokens to sound, and those of voice prompts. Matrices in case files have channels
// first; here time comes first.

import SpeechSynthesis
import TensorCore

extension Conformance {
    static let speechStages: [String: Stage] = [
        "prompt_mel": { run, inputs in
            let mel = try run.parts.analyzer().melSpectrogram(inputs.floats("waveform"))
            return [.matrix("mel", mel, .maximum(1e-3))]
        },
        "speaker.features": { run, inputs in
            let encoder = try run.parts.analyzer().speakerEncoder
            return [
                .matrix("features", encoder.features(try inputs.floats("waveform")), .maximum(1e-3))
            ]
        },
        "speaker.embedding": { run, inputs in
            let encoder = try run.parts.analyzer().speakerEncoder
            let embedding = try encoder.embedding(inputs.floats("waveform"))
            return [.vector("embedding", embedding, .activations)]
        },
        "flow.encoder": { run, inputs in
            let flow = try run.decoder(inputs).flow
            let mel = try inputs.tensor("prompt_mel", rank: 2)
            let mu = try flow.mu(
                tokens: inputs.integers("tokens"), prompt: inputs.integers("prompt_tokens"),
                promptFrames: mel.rows)
            return [.matrix("mu", mu.transposed(), .activations)]
        },
        "flow.estimator": { run, inputs in
            let flow = try run.decoder(inputs).flow
            let bands = flow.configuration.outputSize
            let state = try run.frames("x", inputs, bands: bands)
            let (mu, condition) = try (
                run.frames("mu", inputs, bands: bands), run.frames("cond", inputs, bands: bands)
            )
            let speaker = try inputs.floats("speaker")
            guard speaker.count == bands, mu.rows == state.rows, condition.rows == state.rows else {
                throw ConformanceError.badInput(
                    "speaker, mu or cond",
                    seen: "\(speaker.count) values, \(mu.rows) and \(condition.rows) frames",
                    accepted: "\(bands) values, \(state.rows) frames")
            }
            let velocity = flow.velocity(
                state: state, mu: mu, speaker: speaker, condition: condition,
                time: try inputs.float("t"))
            return [.matrix("velocity", velocity.transposed(), .activations)]
        },
        "flow.mel": { run, inputs in
            let flow = try run.decoder(inputs).flow
            let mel = try flow.mel(
                tokens: inputs.integers("tokens"),
                prompt: FlowDecoder.Prompt(
                    tokens: inputs.integers("prompt_tokens"),
                    mel: inputs.tensor("prompt_mel", rank: 2),
                    embedding: inputs.floats("embedding")),
                noise: run.frames("noise", inputs, bands: flow.configuration.outputSize))
            return [.matrix("mel", mel.transposed(), .cosine)]
        },
        "vocoder.f0": { run, inputs in
            let vocoder = try run.decoder(inputs).vocoder
            let mel = try run.frames("mel", inputs, bands: vocoder.configuration.inputChannels)
            let threshold = Float(vocoder.configuration.voicedThreshold)
            return [.vector("f0", vocoder.pitch(of: mel), .pitch(voicedAbove: threshold))]
        },
        "vocoder.source": { run, inputs in
            let vocoder = try run.decoder(inputs).vocoder
            let f0 = try inputs.floats("f0")
            let phases = try inputs.floats("phase")
            let noise = try inputs.tensor("noise", rank: 2)
            let harmonics = vocoder.configuration.harmonics + 1
            let samples = f0.count * vocoder.configuration.samplesPerFrame
            guard phases.count == harmonics, noise.shape == [harmonics, samples] else {
                throw ConformanceError.badInput(
                    "phase or noise", seen: "[\(phases.count)] and \(noise.shape)",
                    accepted: "[\(harmonics)] and [\(harmonics), \(samples)]")
            }
            let source = vocoder.source(f0: f0, phases: phases, noise: noise.values)
            return [.vector("source", source, .signalToNoise(40))]
        },
        "vocoder.waveform": { run, inputs in
            let vocoder = try run.decoder(inputs).vocoder
            let mel = try run.frames("mel", inputs, bands: vocoder.configuration.inputChannels)
            let source = try inputs.floats("source")
            let samples = mel.rows * vocoder.configuration.samplesPerFrame
            guard source.count == samples, samples > 0 else {
                throw ConformanceError.badInput(
                    "source", seen: "\(source.count) samples",
                    accepted: "\(samples), for \(mel.rows) frames, at least one")
            }
            return [
                .vector("waveform", try vocoder.samples(mel, source: source), .signalToNoise(50))
            ]
        },
    ]

    /// The decoder of a case: Music for names that start with `music`.
    private func decoder(_ inputs: CaseInputs) throws -> SpeechDecoder {
        try parts.decoder(isMusic: inputs.caseName.hasPrefix("music"))
    }

    /// An input [bands, T] as [T, bands].
    private func frames(_ name: String, _ inputs: CaseInputs, bands: Int) throws -> Tensor {
        let tensor = try inputs.tensor(name, rank: 2)
        guard tensor.shape[0] == bands else {
            throw ConformanceError.badInput(
                name, seen: "\(tensor.shape)", accepted: "[\(bands), frames]")
        }
        return tensor.transposed()
    }
}

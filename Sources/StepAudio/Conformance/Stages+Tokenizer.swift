// The stages of the audio tokenizer.

import AudioSignal
import Checkpoints
import SpeechTokenizer
import TensorCore

extension Conformance {
    static let tokenizerStages: [String: Stage] = [
        "linguistic.features": { run, inputs in
            let encoder = try run.parts.tokenizer().linguistic
            let features = encoder.features(try inputs.floats("waveform"))
            return [.matrix("features", features, .maximum(1e-3))]
        },
        "linguistic.encoder": { run, inputs in
            let encoder = try run.parts.tokenizer().linguistic
            let hidden = encoder.hidden(try inputs.floats("waveform"))
            return [.matrix("hidden", hidden, .activations)]
        },
        "linguistic.codes": { run, inputs in
            let encoder = try run.parts.tokenizer().linguistic
            return [.ids("codes", encoder.codes(try inputs.floats("waveform")))]
        },
        "semantic.log_mel": { run, inputs in
            let encoder = try run.parts.tokenizer().semantic
            let mel = encoder.logMel(try inputs.floats("waveform"))
            return [.matrix("log_mel", mel.transposed(), .maximum(1e-3))]
        },
        "semantic.codes": { run, inputs in
            let encoder = try run.parts.tokenizer().semantic
            return [.ids("codes", try encoder.codes(try inputs.floats("waveform")))]
        },
        "tokenizer.tokens": { run, inputs in
            let tokenizer = try run.parts.tokenizer()
            let tokens = try tokenizer.tokens(
                inputs.floats("waveform"), sampleRate: inputs.integer("rate"),
                trim: inputs.integer("trim") != 0)
            return [.ids("ids", tokens.ids(audioBaseID: try run.audioBaseID()))]
        },
    ]

    /// The id of `<audio_0>` of the bundle's vocabularies; the published one in a bundle without any.
    func audioBaseID() throws -> Int {
        do {
            return try textTokenizer().audioBaseID ?? Self.publishedAudioBaseID
        } catch CheckpointError.missingPart {
            return Self.publishedAudioBaseID
        }
    }

    private static let publishedAudioBaseID = 65_536
}

// The voice that a call asks for: a speaker's recording or one to clone, turned into what conditions the
// models.

import AudioSignal
import Foundation
import SpeechSynthesis
import TensorCore

extension StepAudio {
    /// What conditions the decoder for the voice that the options ask for.
    package func voicePrompt(_ options: SpeechOptions) async throws -> FlowDecoder.Prompt {
        var timings = Timings()
        return try await voice(for: options, instruction: "", timings: &timings).prompt
    }

    /// The voice that the options ask for; `instruction` names a singing style's own recording.
    func voice(
        for options: SpeechOptions, instruction: String, timings: inout Timings
    ) async throws -> Voice {
        let (locations, userVoices) = (locations, self.options.userVoices)
        let made = try await ComputeThreads.run { [parts, voices] in
            var spent = Timings()
            let voice = try Self.voice(
                for: options, instruction: instruction, parts: parts, voices: voices,
                store: VoiceStore(locations: locations, userDirectory: userVoices), timings: &spent)
            return (voice, spent)
        }
        timings += made.1
        return made.0
    }

    private static func voice(
        for options: SpeechOptions, instruction: String, parts: ModelParts, voices: VoiceCache,
        store: @autoclosure () throws -> VoiceStore, timings: inout Timings
    ) throws -> Voice {
        if let clone = options.clone {
            let text = clone.text.trimmingWhitespace
            guard !text.isEmpty else {
                throw StepAudioError.emptyInput("the text of the voice to clone")
            }
            let clip = try SoundReader.clip(of: clone.audio)
            // Recordings that callers bring stay in memory.
            let samples = clip.mono()
            let name = SHA256.hex(samples.withUnsafeBytes { Array($0) }) + " \(clip.sampleRate)"
            let prompt = try voices.prompt(
                name: name, models: parts.voiceModels, content: { nil },
                make: { try Self.prompt(of: clip, parts: parts, timings: &timings) })
            return Voice(name: "", promptText: text, prompt: prompt)
        }
        let store = try store()
        let base = try store.speaker(options.speaker)
        let speaker = try instruction.isEmpty ? base : store.speaker(base.id + instruction)
        let prompt = try voices.prompt(
            name: ModelParts.fingerprint(speaker.promptAudio), models: parts.voiceModels,
            content: { FileManager.default.contents(atPath: speaker.promptAudio) },
            make: {
                try Self.prompt(
                    of: SoundReader.clip(of: .file(speaker.promptAudio)), parts: parts,
                    timings: &timings)
            })
        return Voice(name: base.id, promptText: speaker.promptText, prompt: prompt)
    }

    private static func prompt(
        of clip: AudioClip, parts: ModelParts, timings: inout Timings
    ) throws -> FlowDecoder.Prompt {
        let (tokenizer, analyzer) = try timings.measure(\.load) {
            (try parts.tokenizer(), try parts.analyzer())
        }
        return try timings.measure(\.encode) {
            let tokens = try tokenizer.tokens(clip.mono(), sampleRate: clip.sampleRate, trim: true)
            return try analyzer.prompt(clip, tokens: tokens.mixed)
        }
    }
}

// Recordings to audio tokens, tokens to speech, and the original's small helpers around them.

import AudioSignal
import LanguageModel
import SpeechSynthesis
import SpeechTokenizer
import TensorCore

extension StepAudio {
    /// The tokens of a recording as `<audio_N>` strings, as the original's `encode_audio`.
    public func encodeAudio(_ path: String) async throws -> String {
        try await encode(.file(path)).text
    }

    /// The chat prompt of a conversation, as the original's `apply_chat_template`; recordings are
    /// encoded.
    public func applyChatTemplate(_ messages: [Message]) async throws -> String {
        try await translating("chat template") {
            var timings = Timings()
            let encoded = try await withTokens(messages, timings: &timings)
            let vocabulary = try await ComputeThreads.run { [parts] in try parts.chatVocabulary() }
            return try ChatTemplate(tokenizer: vocabulary).text(Self.turns(encoded))
        }
    }

    /// Encodes a recording; `trim` cuts silence off, as for voice prompts.
    public func encode(_ sound: Message.Sound, trim: Bool = false) async throws -> EncodedAudio {
        try await translating("encoding") {
            try await ComputeThreads.run { [parts, options] in
                var timings = Timings()
                let clip = try SoundReader.clip(of: sound)
                let tokenizer = try timings.measure(\.load) { try parts.tokenizer() }
                options.progress("encoding", 0, 1)
                let tokens = try timings.measure(\.encode) {
                    try tokenizer.tokens(clip.mono(), sampleRate: clip.sampleRate, trim: trim)
                }
                options.progress("encoding", 1, 1)
                return EncodedAudio(tokens, seconds: clip.duration, timings: timings)
            }
        }
    }

    /// Turns `<audio_N>` strings into speech in a speaker's voice.
    public func decode(
        _ tokens: String, options: SpeechOptions = SpeechOptions()
    ) async throws -> SpokenText {
        try options.validate()
        return try await translating("decoding") {
            var timings = Timings()
            let start = ContinuousClock.now
            let ids = try await ComputeThreads.run { [parts] in
                let tokenizer = try parts.tokenizer()
                let ids = try tokenizer.layout.parse(tokens)
                _ = try tokenizer.layout.deinterleave(ids)
                return ids
            }
            guard !ids.isEmpty else { throw StepAudioError.emptyInput("the token string") }
            let decoder = try await ComputeThreads.run { [parts] in
                try parts.decoder(isMusic: false)
            }
            timings.load += start.secondsUntilNow
            let voice = try await voice(for: options, instruction: "", timings: &timings)
            let progress = synthesisProgress
            let begin = ContinuousClock.now
            let speech = try await ComputeThreads.run {
                try SpeechSynthesizer.decode(
                    ids, voice: voice.prompt, decoder: decoder, flow: options.flow,
                    seed: options.sampling.seed, progress: progress)
            }
            var result = try await finished(speech, options: options, timings: &timings)
            result.timings.elapsed += begin.secondsUntilNow
            return result
        }
    }
}

extension EncodedAudio {
    /// Gathers what a recording became.
    init(_ tokens: AudioTokens, seconds: Double, timings: Timings) {
        self.init(
            text: tokens.text, ids: tokens.mixed, linguistic: tokens.linguistic,
            semantic: tokens.semantic, seconds: seconds, timings: timings)
    }
}

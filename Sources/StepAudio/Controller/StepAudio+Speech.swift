// Text to speech, whole or as a stream.

import AudioSignal
import SpeechSynthesis
import TensorCore

extension StepAudio {
    /// Speaks a text.
    ///
    /// Leading tags of the text win over the options' style.
    public func say(
        _ text: String, options: SpeechOptions = SpeechOptions()
    ) async throws -> SpokenText {
        var timings = Timings()
        let key = speechKey("speech", text, options: options)
        if let key, case .speech(let known) = answers.value(key) { return known }
        let job = try await speechJob(text, options: options, timings: &timings)
        return try await translating("speech") {
            let start = ContinuousClock.now
            let speech = try await job.synthesizer.speak(
                job.text, voice: job.voice, decoder: job.decoder, options: options.synthesis,
                progress: synthesisProgress)
            var result = try await finished(speech, options: options, timings: &timings)
            result.timings.elapsed += start.secondsUntilNow
            if let key { keep(.speech(result), for: key) }
            return result
        }
    }

    private func speechKey(
        _ kind: String, _ text: String, options: SpeechOptions
    ) -> String? {
        answerKey(
            kind, scope: options.cacheScope, options: "\(options)", speaker: options.speaker,
            input: text, sounds: options.clone.map { [$0.audio] } ?? [])
    }

    /// Speaks a text and gives its sound out piece by piece, ended by the whole.
    ///
    /// Leaving the stream or cancelling its task stops the work within one token step.
    public func streamSpeech(
        _ text: String, options: SpeechOptions = SpeechOptions()
    ) -> AsyncThrowingStream<SpeechEvent, any Error> {
        events(
            key: speechKey("streamed speech", text, options: options),
            known: { if case .streamedSpeech(let events) = $0 { events } else { nil } },
            keeping: { .streamedSpeech($0) },
            make: { emit in
                let result = try await self.speakStreaming(text, options: options) {
                    emit(.chunk($0))
                }
                emit(.finished(result))
            })
    }

    private func speakStreaming(
        _ text: String, options: SpeechOptions, emit: (SpeechChunk) -> Void
    ) async throws -> SpokenText {
        var timings = Timings()
        let job = try await speechJob(text, options: options, timings: &timings)
        let parts = SentenceSplitter(longestPart: options.synthesis.longestPart).split(job.text)
        let sentences = AsyncStream { feed in
            for part in parts { feed.yield(part) }
            feed.finish()
        }
        return try await translating("speech") {
            try await speak(sentences, job: job, options: options, timings: timings, emit: emit)
        }
    }

    /// Speaks sentences as they come, piece by piece.
    func speak(
        _ sentences: AsyncStream<String>, job: SpeechJob, options: SpeechOptions,
        timings: Timings, emit: (SpeechChunk) -> Void
    ) async throws -> SpokenText {
        var timings = timings
        let start = ContinuousClock.now
        var outlet = try SpeechOutlet(sampleRate: job.decoder.sampleRate, options: options)
        let speech = try await job.synthesizer.stream(
            sentences, voice: job.voice, decoder: job.decoder, options: options.synthesis,
            progress: synthesisProgress
        ) { chunk in
            for ready in try outlet.append(chunk) {
                if timings.firstAudio == nil, !ready.samples.isEmpty {
                    timings.firstAudio = start.secondsUntilNow
                }
                emit(ready)
            }
        }
        if let last = try outlet.finish() { emit(last) }
        timings.speechTokens += speech.tokenSeconds
        timings.flow += speech.flowSeconds
        timings.vocoder += speech.vocoderSeconds
        timings.elapsed += start.secondsUntilNow
        return SpokenText(
            speech: Speech(
                samples: outlet.samples, sampleRate: speech.sampleRate, tokens: speech.tokens,
                repairs: speech.findings.map(\.description)),
            timings: timings)
    }

    /// What a speech needs before it starts.
    struct SpeechJob: Sendable {
        let text: String
        let synthesizer: SpeechSynthesizer
        let decoder: SpeechDecoder
        let voice: Voice
    }

    /// Checks the text and the options, and loads what they need.
    func speechJob(
        _ text: String, options: SpeechOptions, timings: inout Timings
    ) async throws -> SpeechJob {
        try options.validate()
        try options.style.validate(as: StepAudioError.self)
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw StepAudioError.emptyInput("the text to speak")
        }
        let tagged = Self.tagged(text, options: options)
        let instruction = BracketTag.instruction(of: tagged)
        let isMusic = BracketTag.vocalStyles.contains(instruction)
        do {
            let start = ContinuousClock.now
            let synthesizer = try await self.synthesizer()
            let decoder = try await ComputeThreads.run { [parts] in
                try parts.decoder(isMusic: isMusic)
            }
            timings.load += start.secondsUntilNow
            let voice = try await self.voice(
                for: options, instruction: isMusic ? instruction : "", timings: &timings)
            return SpeechJob(text: tagged, synthesizer: synthesizer, decoder: decoder, voice: voice)
        } catch is CancellationError {
            throw StepAudioError.cancelled(stage: "speech")
        } catch {
            throw StepAudioError(error, stage: "loading the voice")
        }
    }

    /// The text with the options' tags in front, unless it brings its own.
    static func tagged(_ text: String, options: SpeechOptions) -> String {
        guard BracketTag.split(text).tags.isEmpty else { return text }
        if let style = options.vocalStyle { return "(\(style))" + text }
        return options.style.tags + text
    }

    var synthesisProgress: SpeechSynthesizer.Progress {
        let progress = options.progress
        return { stage, completed, total in
            switch stage {
            case .tokens: progress("speech tokens", completed, total)
            case .flow: progress("flow", completed, total)
            case .vocoder: progress("vocoder", completed, total)
            }
        }
    }

    /// Applies tempo and volume and gathers the result.
    func finished(
        _ speech: SynthesizedSpeech, options: SpeechOptions, timings: inout Timings
    ) async throws -> SpokenText {
        timings.speechTokens += speech.tokenSeconds
        timings.flow += speech.flowSeconds
        timings.vocoder += speech.vocoderSeconds
        let start = ContinuousClock.now
        let samples = try await ComputeThreads.run {
            try Level.volume(
                Tempo.change(
                    speech.samples, sampleRate: speech.sampleRate, factor: options.speedRatio),
                factor: options.volumeRatio)
        }
        timings.adjust += start.secondsUntilNow
        return SpokenText(
            speech: Speech(
                samples: samples, sampleRate: speech.sampleRate, tokens: speech.tokens,
                repairs: speech.findings.map(\.description)),
            timings: timings)
    }
}

extension SpeechStyle {
    /// Refuses unknown names as the controller's error.
    func validate(as type: StepAudioError.Type) throws(StepAudioError) {
        do {
            try validate()
        } catch {
            throw StepAudioError(error, stage: "speech")
        }
    }
}

// One loaded system for the verbs: progress, answers and reports.

import AudioSignal
import Foundation
import StepAudio
import Synchronization

/// Runs requests and prints what came out.
struct Session {
    let settings: ResolvedModelSettings
    let streams: Bool
    let system: StepAudio
    let bar: ProgressBar

    init(settings: ResolvedModelSettings, streams: Bool = false) {
        self.settings = settings
        self.streams = streams
        let bar = ProgressBar(quiet: settings.quiet)
        self.bar = bar
        system = StepAudio(
            locations: settings.locations,
            options: StepAudio.Options(
                precision: settings.precision,
                progress: { stage, completed, total in
                    bar.update(stage: stage, completed: completed, total: total)
                }, chatServer: settings.chatServer, speechServer: settings.speechServer))
    }

    /// Asks one question, prints the answer, gives its speech out and extends the conversation.
    func ask(
        _ question: Message, in conversation: inout Conversation, policy: AudioHistory,
        options: ChatOptions, target: SoundTarget?
    ) async throws {
        var options = options
        options.speaks = target != nil
        // When the sound has standard output, the text goes beside it.
        let handle: FileHandle = target?.isStandardOutput == true ? .standardError : .standardOutput
        let showText = streams && !settings.json
        let outlet = Outlet(target)
        defer { outlet.cancel() }
        let onText: @Sendable (String) -> Void = { piece in
            guard showText else { return }
            bar.clear()
            try? handle.write(contentsOf: Data(piece.utf8))
        }
        let onSpeech: @Sendable (SpeechChunk) -> Void = { outlet.write($0) }
        let (answer, history) = try await system.answer(
            conversation.messages + [question], options: options, onText: onText,
            onSpeech: streams ? onSpeech : nil)
        bar.clear()
        if !settings.json {
            Console.write(showText ? "\n" : answer.text, to: handle)
        }
        if streams {
            try await outlet.finish()
        } else if let target, let speech = answer.speech {
            try await write(speech, to: target)
        }
        conversation.messages = history + [.assistant(answer.text)]
        if policy == .text, question.containsAudio {
            conversation.replaceLastAudio(by: "[recording]")
        }
        try report(
            text: answer.text, textTokens: answer.tokens.count,
            finish: answer.finishReason.rawValue, speech: answer.speech, timings: answer.timings,
            output: target?.path)
    }

    /// Speaks a text and gives its sound out while it is made.
    func stream(
        _ text: String, options: SpeechOptions, to target: SoundTarget
    ) async throws -> SpokenText {
        let outlet = Outlet(target)
        defer { outlet.cancel() }
        var result: SpokenText?
        for try await event in system.streamSpeech(text, options: options) {
            switch event {
            case .chunk(let chunk):
                bar.clear()
                outlet.write(chunk)
                try outlet.check()
            case .finished(let spoken): result = spoken
            }
        }
        try Task.checkCancellation()
        guard let result else { throw CancellationError() }
        try await outlet.finish()
        return result
    }

    /// Writes whole speech.
    func write(_ speech: Speech, to target: SoundTarget) async throws {
        bar.clear()
        if case .path(let path, .wav) = target, path != "-" {
            try speech.clip.writeWAV(to: path)
        } else {
            let sink = try target.open(sampleRate: speech.sampleRate)
            try sink.write(speech.samples)
            try await sink.finish()
        }
    }

    /// Opens the target when the first sound comes, and remembers what went wrong.
    private final class Outlet: Sendable {
        private let target: SoundTarget?
        private let state = Mutex<Result<SoundSink?, any Error>>(.success(nil))

        init(_ target: SoundTarget?) {
            self.target = target
        }

        func write(_ chunk: SpeechChunk) {
            state.withLock { state in
                guard let target, case .success(let known) = state else { return }
                state = Result {
                    let sink = try known ?? target.open(sampleRate: chunk.sampleRate)
                    try sink.write(chunk.samples)
                    return sink
                }
            }
        }

        func check() throws { _ = try state.withLock { try $0.get() } }

        func finish() async throws { try await state.withLock { try $0.get() }?.finish() }

        func cancel() { try? state.withLock { try $0.get() }?.cancel() }
    }

    /// Prints the report that the flags ask for.
    func report(
        text: String? = nil, textTokens: Int? = nil, finish: String? = nil, speech: Speech?,
        timings: Timings, output: String?
    ) throws {
        bar.clear()
        let report = SpeechReport(
            text: text, output: output, sampleRate: speech?.sampleRate, seconds: speech?.seconds,
            tokens: speech?.tokens.count, textTokens: textTokens, finishReason: finish,
            repairs: speech?.repairs,
            realTimeFactor: speech.map { timings.elapsed / max($0.seconds, 1e-9) },
            firstAudioSeconds: timings.firstAudio, timings: timings, memory: memory())
        if settings.json {
            try Console.printJSON(report)
        } else if settings.verbose {
            Console.note(describe(report))
        }
        if !settings.json, !settings.quiet {
            for repair in speech?.repairs ?? [] {
                Console.note("note: \(repair)")
            }
        }
    }

    /// What the process and the loaded parts take.
    func memory() -> MemoryReport {
        MemoryReport(weights: system.weightBytes, caches: system.cacheBytes)
    }

    private func describe(_ report: SpeechReport) -> String {
        let t = report.timings
        let stages = [
            ("load", t.load), ("encode", t.encode), ("chat", t.chat),
            ("speech tokens", t.speechTokens), ("flow", t.flow), ("vocoder", t.vocoder),
            ("adjust", t.adjust),
        ].filter { $0.1 > 0 }
        var parts = stages.map { "\($0.0) \(String(format: "%.2f", $0.1)) s" }
        if let seconds = report.seconds, let factor = report.realTimeFactor {
            parts.append(String(format: "%.2f s of speech, real-time factor %.2f", seconds, factor))
        }
        if let first = report.firstAudioSeconds {
            parts.append(String(format: "first sound after %.2f s", first))
        }
        if let peak = report.memory.peakBytes {
            parts.append("peak memory \(peak / 1_000_000) MB")
        }
        return parts.joined(separator: ", ")
    }
}

extension Message {
    /// Whether a part of the turn is sound.
    var containsAudio: Bool {
        content?.contains { if case .audio = $0 { true } else { false } } ?? false
    }
}

// One loaded system for the verbs: progress, answers and reports.

import AudioSignal
import Foundation
import StepAudio

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

    /// Asks one question, prints the answer, writes its speech and extends the conversation.
    func ask(
        _ question: Message, in conversation: inout Conversation, policy: AudioHistory,
        options: ChatOptions, output: String?
    ) async throws {
        var options = options
        options.speaks = output != nil
        let showText = streams && !settings.json
        // With a listener, each sentence is spoken while the next is written.
        let listener: @Sendable (SpeechChunk) -> Void = { _ in }
        let (answer, history) = try await system.answer(
            conversation.messages + [question], options: options,
            onText: { piece in
                guard showText else { return }
                bar.clear()
                Console.printPart(piece)
            }, onSpeech: streams ? listener : nil)
        bar.clear()
        if showText {
            Console.print("")
        } else if !settings.json {
            Console.print(answer.text)
        }
        conversation.messages = history + [.assistant(answer.text)]
        if policy == .text, question.containsAudio {
            conversation.replaceLastAudio(by: "[recording]")
        }
        try await report(
            text: answer.text, textTokens: answer.tokens.count,
            finish: answer.finishReason.rawValue, speech: answer.speech, timings: answer.timings,
            output: output)
    }

    /// Writes the speech and prints the report that the flags ask for.
    func report(
        text: String? = nil, textTokens: Int? = nil, finish: String? = nil, speech: Speech?,
        timings: Timings, output: String?
    ) async throws {
        bar.clear()
        if let output, let speech {
            try speech.clip.writeWAV(to: output)
        }
        let report = SpeechReport(
            text: text, output: output, sampleRate: speech?.sampleRate, seconds: speech?.seconds,
            tokens: speech?.tokens.count, textTokens: textTokens, finishReason: finish,
            repairs: speech?.repairs,
            realTimeFactor: speech.map { timings.total / max($0.seconds, 1e-9) },
            timings: timings, memory: memory())
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

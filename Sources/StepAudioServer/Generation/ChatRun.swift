// One conversation on its way to an answer: text and speech as they come, then the figures.

import Foundation
import StepAudio

/// What is asked of the models.
struct ChatOrder: Sendable {
    var messages: [Message]
    var options: ChatOptions
    var stops: [String] = []
    var promptTokens = 0
    var promptAudioTokens = 0
    /// Time that encoding recordings took.
    var encodeSeconds = 0.0
}

/// What came of it.
struct ChatOutcome: Sendable {
    var text: String
    var finishReason: String
    var promptTokens: Int
    var promptAudioTokens: Int
    var textTokens: Int
    var speech: SpeechFigures?
    var timings: Timings
    var totalSeconds: Double
}

/// A piece of an answer.
enum ChatPiece: Sendable {
    case text(String)
    case speech(SpeechChunk)
}

extension Backend {
    /// Answers a conversation.
    func answer(
        _ order: ChatOrder, since start: ContinuousClock.Instant,
        onPiece: @Sendable (ChatPiece) async throws -> Void
    ) async throws -> ChatOutcome {
        var outcome =
            try await order.stops.isEmpty
            ? wholeAnswer(order, since: start, onPiece: onPiece)
            : cutAnswer(order, since: start, onPiece: onPiece)
        outcome.timings.encode += order.encodeSeconds
        outcome.totalSeconds = start.secondsUntilNow
        outcome.speech?.totalSeconds = outcome.totalSeconds
        metrics.add("stepaudio_tokens_total", Double(outcome.promptTokens), [("kind", "prompt")])
        metrics.add("stepaudio_tokens_total", Double(outcome.textTokens), [("kind", "text")])
        return outcome
    }

    /// Speech is made while the text is written.
    private func wholeAnswer(
        _ order: ChatOrder, since start: ContinuousClock.Instant,
        onPiece: @Sendable (ChatPiece) async throws -> Void
    ) async throws -> ChatOutcome {
        var figures = SpeechFigures()
        var whole: Answer?
        for try await event in system.stream(order.messages, options: order.options) {
            switch event {
            case .text(let piece): try await onPiece(.text(piece))
            case .speech(let speech):
                if figures.firstAudioSeconds == nil {
                    figures.firstAudioSeconds = start.secondsUntilNow
                }
                figures.seconds += speech.seconds
                try await onPiece(.speech(speech))
            case .finished(let answer): whole = answer
            }
        }
        try Task.checkCancellation()
        guard let whole else { throw CancellationError() }
        figures.audioTokens = whole.speech?.tokens.count ?? 0
        figures.repairs = whole.speech?.repairs ?? []
        figures.timings = whole.timings
        return ChatOutcome(
            text: whole.text, finishReason: whole.finishReason.rawValue,
            promptTokens: order.promptTokens, promptAudioTokens: order.promptAudioTokens,
            textTokens: whole.tokens.count, speech: order.options.speaks ? figures : nil,
            timings: whole.timings, totalSeconds: 0)
    }

    /// The text first, up to a stop text, so that nothing behind it is spoken.
    private func cutAnswer(
        _ order: ChatOrder, since start: ContinuousClock.Instant,
        onPiece: @Sendable (ChatPiece) async throws -> Void
    ) async throws -> ChatOutcome {
        var options = order.options
        options.speaks = false
        var scanner = StopScanner(order.stops)
        var outcome = ChatOutcome(
            text: "", finishReason: "stop", promptTokens: order.promptTokens,
            promptAudioTokens: order.promptAudioTokens, textTokens: 0, timings: Timings(),
            totalSeconds: 0)
        for try await event in system.stream(order.messages, options: options) {
            switch event {
            case .text(let piece):
                let shown = scanner.append(piece)
                outcome.text += shown
                if !shown.isEmpty { try await onPiece(.text(shown)) }
            case .speech: break
            case .finished(let answer):
                outcome.finishReason = answer.finishReason.rawValue
                outcome.timings = answer.timings
            }
            if scanner.isStopped { break }
        }
        try Task.checkCancellation()
        let rest = scanner.finish()
        outcome.text += rest
        if !rest.isEmpty { try await onPiece(.text(rest)) }
        if outcome.timings.chat == 0 { outcome.timings.chat = start.secondsUntilNow }
        outcome.textTokens = try await system.speechTokenCount(outcome.text)
        guard order.options.speaks, outcome.text.contains(where: { !$0.isWhitespace }) else {
            return outcome
        }
        let figures = try await speak(
            outcome.text, options: order.options.speech, since: start
        ) { chunk in
            try await onPiece(.speech(chunk))
        }
        outcome.timings += figures.timings
        outcome.speech = figures
        return outcome
    }
}

// Whole answers and speeches by everything that changes them. Off unless a call names a scope; calls of one
// scope never see what another scope's calls left.

import Foundation
import Synchronization

/// Something whole that was made before.
enum CachedAnswer: Sendable {
    case speech(SpokenText)
    case answer(Answer, history: [Message])
    case streamedSpeech([SpeechEvent])
    case streamedAnswer([AnswerEvent])

    /// The same without the times that it took: giving it again takes none of them.
    var untimed: CachedAnswer {
        switch self {
        case .speech(var spoken):
            spoken.timings = Timings()
            return .speech(spoken)
        case .answer(var answer, let history):
            answer.timings = Timings()
            return .answer(answer, history: history)
        case .streamedSpeech(let events):
            return .streamedSpeech(
                events.map { event in
                    guard case .finished(var spoken) = event else { return event }
                    spoken.timings = Timings()
                    return .finished(spoken)
                })
        case .streamedAnswer(let events):
            return .streamedAnswer(
                events.map { event in
                    guard case .finished(var answer) = event else { return event }
                    answer.timings = Timings()
                    return .finished(answer)
                })
        }
    }

    /// About how much memory it takes.
    var bytes: Int {
        switch self {
        case .speech(let spoken): Self.bytes(spoken.speech)
        case .answer(let answer, let history):
            answer.text.utf8.count + 8 * answer.tokens.count + (answer.speech.map(Self.bytes) ?? 0)
                + String(describing: history).utf8.count
        case .streamedSpeech(let events): events.reduce(0) { $0 + Self.bytes($1) }
        case .streamedAnswer(let events): events.reduce(0) { $0 + Self.bytes($1) }
        }
    }

    private static func bytes(_ event: SpeechEvent) -> Int {
        switch event {
        case .chunk(let chunk): 4 * chunk.samples.count + chunk.text.utf8.count
        case .finished(let spoken): bytes(spoken.speech)
        }
    }

    private static func bytes(_ event: AnswerEvent) -> Int {
        switch event {
        case .text(let text): text.utf8.count
        case .speech(let chunk): bytes(SpeechEvent.chunk(chunk))
        case .finished(let answer): CachedAnswer.answer(answer, history: []).bytes
        }
    }

    private static func bytes(_ speech: Speech) -> Int {
        4 * speech.samples.count + 8 * speech.tokens.count
    }
}

extension StepAudio {
    func keep(_ answer: CachedAnswer, for key: String) {
        answers.keep(answer.untimed, bytes: answer.bytes, for: key)
    }

    /// A stream of events: an earlier one again when the same was asked in the same scope, else one that is
    /// made, and kept under `key` once it is whole.
    ///
    /// Leaving the stream or cancelling its task stops the work within one token step.
    func events<Event: Sendable>(
        key: String?, known: (CachedAnswer) -> [Event]?,
        keeping: @escaping @Sendable ([Event]) -> CachedAnswer,
        make: @escaping @Sendable (_ emit: @escaping @Sendable (Event) -> Void) async throws -> Void
    ) -> AsyncThrowingStream<Event, any Error> {
        if let key, let events = answers.value(key).flatMap(known) {
            return AsyncThrowingStream { continuation in
                for event in events { continuation.yield(event) }
                continuation.finish()
            }
        }
        return AsyncThrowingStream { continuation in
            let task = Task {
                let made = Mutex<[Event]>([])
                do {
                    try await make { event in
                        if key != nil { made.withLock { $0.append(event) } }
                        continuation.yield(event)
                    }
                    if let key { keep(keeping(made.withLock { $0 }), for: key) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// The key of a call, or nil when it names no scope or reads what can be read once only.
    ///
    /// The printed form of the options has every one of them in it, those that are added later too;
    /// `sounds` are the recordings that they and the input name.
    func answerKey(
        _ kind: String, scope: String?, options: String, speaker: String?, input: String,
        sounds: [Message.Sound]
    ) -> String? {
        guard let scope else { return nil }
        var files: [String] = []
        for case .file(let path) in sounds {
            guard path != "-" else { return nil }
            files.append(ModelParts.fingerprint(path))
        }
        let voice =
            (try? VoiceStore(locations: locations, userDirectory: self.options.userVoices))
            .flatMap { try? $0.speaker(speaker) }
            .map { "\($0.promptText)\n" + ModelParts.fingerprint($0.promptAudio) } ?? ""
        // Lengths keep the parts apart.
        let parts = [kind, scope, options, voice, input] + files
        return SHA256.hex(parts.map { "\($0.utf8.count):\($0)" }.joined().utf8)
    }
}

// Whole answers and speeches by everything that changes them. Off unless a call names a scope; calls of one
// scope never see what another scope's calls left.

import Foundation

/// Something whole that was made before.
enum CachedAnswer: Sendable {
    case speech(SpokenText)
    case answer(Answer, history: [Message])

    /// About how much memory it takes.
    var bytes: Int {
        switch self {
        case .speech(let spoken): Self.bytes(spoken.speech)
        case .answer(let answer, let history):
            answer.text.utf8.count + 8 * answer.tokens.count + (answer.speech.map(Self.bytes) ?? 0)
                + String(describing: history).utf8.count
        }
    }

    private static func bytes(_ speech: Speech) -> Int {
        4 * speech.samples.count + 8 * speech.tokens.count
    }
}

extension StepAudio {
    func keep(_ answer: CachedAnswer, for key: String) {
        answers.keep(answer, bytes: answer.bytes, for: key)
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

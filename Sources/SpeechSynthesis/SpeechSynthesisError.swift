// What can go wrong between text and speech. Faults of files are the `Checkpoints` module's errors.

/// Text, tokens or a network that cannot be spoken, and why.
public enum SpeechSynthesisError: Error, Equatable, CustomStringConvertible {
    /// There is nothing to speak.
    case emptyText
    /// A style that the models do not know.
    case unknownStyle(kind: String, value: String, accepted: [String])
    /// The vocabulary lacks a piece that prompts need.
    case pieceMissing(String)
    /// The decoder's token table has not as many rows as there are audio tokens.
    case vocabularyTooSmall(decoder: Int, tokens: Int)
    /// A token outside the decoder's table; positions count from 0.
    case tokenOutOfRange(position: Int, token: Int, count: Int)
    /// There are no tokens to decode.
    case noTokens
    /// The language model gave nothing that could be decoded.
    case noUsableTokens(attempts: Int, findings: [String])
    /// A network gave values that are not finite.
    case notFinite(stage: String)
    /// A voice prompt is too short.
    case promptTooShort(seconds: Double, least: Double)
    /// A prompt of another width than the decoder's.
    case badPrompt(what: String, seen: Int, accepted: Int)
    /// Two settings of a checkpoint contradict each other.
    case unusableSetting(file: String, key: String, value: String, accepted: String)

    /// What was wrong, with the value seen and what is accepted.
    public var description: String {
        switch self {
        case .emptyText: "the text is empty: there is nothing to speak"
        case .unknownStyle(let kind, let value, let accepted):
            "\(kind) is '\(value)'; accepted: \(accepted.joined(separator: ", "))"
        case .pieceMissing(let piece): "the vocabulary lacks the piece \(piece)"
        case .vocabularyTooSmall(let decoder, let tokens):
            "the decoder's table has \(decoder) rows, but there are \(tokens) audio tokens"
        case .tokenOutOfRange(let position, let token, let count):
            "token \(position) is <audio_\(token)>; 0 to \(count - 1) are accepted"
        case .noTokens: "there are no audio tokens to decode"
        case .noUsableTokens(let attempts, let findings):
            "the speech model gave no usable tokens in \(attempts) attempts: "
                + findings.joined(separator: "; ")
        case .notFinite(let stage): "the \(stage) gave values that are not finite"
        case .promptTooShort(let seconds, let least):
            "the voice prompt lasts \(seconds) s; at least \(least) s are needed"
        case .badPrompt(let what, let seen, let accepted):
            "the voice prompt's \(what) is \(seen); accepted: \(accepted)"
        case .unusableSetting(let file, let key, let value, let accepted):
            "\(file): \(key) is \(value); accepted: \(accepted)"
        }
    }
}

// What can go wrong with the language model.

/// Why a language model could not be used or could not generate.
public enum LanguageModelError: Error, Equatable, CustomStringConvertible {
    /// The prompt has no token.
    case emptyPrompt
    /// A prompt id outside the vocabulary.
    case badID(Int, vocabularySize: Int)
    /// The prompt leaves no room for an answer.
    case promptTooLong(tokens: Int, contextLength: Int)
    /// A token limit below one.
    case badLimit(Int)
    /// A range of candidates that is empty or leaves the vocabulary.
    case badCandidates(Range<Int>, vocabularySize: Int)
    /// A sampling option out of range.
    case badSampling(option: String, value: String, accepted: String)
    /// The logits hold no finite value: the weights are broken or overflow.
    case logitsNotFinite(position: Int)
    /// The tokenizer and the model disagree about the vocabulary.
    case vocabularyMismatch(tokenizer: Int, model: Int)
    /// A piece that the templates need is not in the vocabulary.
    case pieceMissing(String)

    /// What was wrong, with the value seen and what is accepted.
    public var description: String {
        switch self {
        case .emptyPrompt: "the prompt has no tokens"
        case .badID(let id, let size): "prompt id \(id) is outside the vocabulary of \(size)"
        case .promptTooLong(let tokens, let length):
            "the prompt has \(tokens) tokens; the model's context holds \(length)"
        case .badLimit(let limit): "the token limit is \(limit); accepted: 1 or more"
        case .badCandidates(let range, let size):
            "the candidates are \(range); accepted: ids within 0..<\(size), at least one"
        case .badSampling(let option, let value, let accepted):
            "\(option) is \(value); accepted: \(accepted)"
        case .logitsNotFinite(let position):
            "the logits at position \(position) are not finite: the weights are damaged"
        case .vocabularyMismatch(let tokenizer, let model):
            "the tokenizer has \(tokenizer) pieces, but the model knows \(model) ids"
        case .pieceMissing(let piece): "the vocabulary lacks the piece \(piece)"
        }
    }
}

// What can go wrong between this process and a language-model server, told apart so that a user knows
// what to do: start it, name another model, shorten the prompt, give it memory.

/// Why a language-model server gave no answer.
public enum RemoteError: Error, Equatable, CustomStringConvertible {
    /// Not an address of a server.
    case badAddress(String)
    /// No connection, or it broke before the first token.
    case unreachable(url: String, reason: String)
    /// No byte within the time limit.
    case timedOut(url: String, seconds: Double)
    /// The server has no such model.
    case wrongModel(name: String, known: [String], url: String)
    /// The server wants another key, or any.
    case keyRefused(url: String)
    /// Prompt and answer do not fit the server's context.
    case contextTooLong(String)
    /// The server ran out of memory.
    case outOfMemory(String)
    /// The server is full.
    case overloaded(url: String, message: String)
    /// The server refused the request.
    case refused(status: Int, message: String)
    /// The connection ended inside an answer.
    case aborted(url: String, tokens: Int, reason: String)
    /// The server's words are not those of the protocol.
    case malformed(url: String, reason: String)

    /// What was wrong, with what was seen.
    public var description: String {
        switch self {
        case .badAddress(let text):
            "'\(text)' is no address of a server; accepted: http://HOST:PORT or https://HOST"
        case .unreachable(let url, let reason): "the server \(url) is away: \(reason)"
        case .timedOut(let url, let seconds): "the server \(url) said nothing for \(seconds) s"
        case .wrongModel(let name, let known, let url):
            "the server \(url) has no model '\(name)'; it has \(known.joined(separator: ", "))"
        case .keyRefused(let url):
            "the server \(url) refused the key; set STEPAUDIO_LLM_KEY to the right one"
        case .contextTooLong(let message):
            "prompt and answer are too long for the server: \(message)"
        case .outOfMemory(let message): "the server ran out of memory: \(message)"
        case .overloaded(let url, let message): "the server \(url) is overloaded: \(message)"
        case .refused(let status, let message): "the server refused (\(status)): \(message)"
        case .aborted(let url, let tokens, let reason):
            "the server \(url) broke off after \(tokens) tokens: \(reason)"
        case .malformed(let url, let reason):
            "the server \(url) does not speak the protocol: \(reason)"
        }
    }

    /// Whether the same request may be sent again: nothing of an answer was seen, and the cause may pass.
    var isTransient: Bool {
        switch self {
        case .unreachable, .overloaded, .timedOut: true
        default: false
        }
    }

    /// The error behind an HTTP status and the server's own words.
    static func status(_ status: Int, message: String, model: String, url: String) -> RemoteError {
        let lower = message.lowercased()
        if lower.contains("out of memory") { return .outOfMemory(message) }
        switch status {
        case 401, 403: return .keyRefused(url: url)
        case 404 where lower.contains("model"):
            return .wrongModel(name: model, known: [], url: url)
        case 400, 413, 422:
            let words = ["context length", "maximum model length", "max_model_len", "too long"]
            return words.contains(where: lower.contains)
                ? .contextTooLong(message) : .refused(status: status, message: message)
        case 429, 502, 503, 504: return .overloaded(url: url, message: message)
        default: return .refused(status: status, message: message)
        }
    }
}

// tokenizer_config.json: whether BOS stands before text, the names of the special tokens, and the chat
// template where there is one.

import TensorCore

/// The rules around a text tokenizer.
public struct TokenizerConfiguration: Sendable, Equatable {
    /// Whether BOS stands before every text that is encoded on its own; true unless the file says no.
    public var addsBOS = true
    /// Whether EOS follows every text.
    public var addsEOS = false
    /// The beginning-of-sequence piece.
    public var beginToken = "<s>"
    /// The end-of-sequence piece.
    public var endToken = "</s>"
    /// The unknown piece.
    public var unknownToken = "<unk>"
    /// The Jinja text of the chat template, as it stands in the file.
    public var chatTemplate: String?

    /// What stands where there is no file.
    public init() {}

    /// Reads a tokenizer_config.json; throws `CheckpointError`.
    public init(path: String) throws {
        let file = try Settings(jsonFile: path)
        addsBOS = try file.bool("add_bos_token", default: true)
        addsEOS = try file.bool("add_eos_token", default: false)
        beginToken = try Self.token(file, "bos_token", default: beginToken)
        endToken = try Self.token(file, "eos_token", default: endToken)
        unknownToken = try Self.token(file, "unk_token", default: unknownToken)
        if let template = file.value("chat_template") {
            chatTemplate = try Self.template(file, template)
        }
    }

    /// A token is text, or an object with its text as `content`.
    private static func token(
        _ file: Settings, _ key: String, default fallback: String
    ) throws -> String {
        guard let value = file.value(key) else { return fallback }
        guard let text = value.text ?? value.members?["content"]?.text else {
            throw file.invalid(key, value, accepted: "text, or an object with content")
        }
        return text
    }

    /// A template is text, or one of a list of {name, template}: the default one.
    private static func template(_ file: Settings, _ value: JSONValue) throws -> String {
        if let text = value.text { return text }
        let templates = value.elements?.compactMap(\.members) ?? []
        let chosen = templates.first { $0["name"]?.text == "default" } ?? templates.first
        guard let text = chosen?["template"]?.text else {
            throw file.invalid("chat_template", value, accepted: "text, or a list of templates")
        }
        return text
    }
}

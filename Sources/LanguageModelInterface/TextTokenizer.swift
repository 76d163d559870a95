// What prompt builders need of a text tokenizer, without knowing which one it is.

/// Turns text into token ids and back.
public protocol TextTokenizer: Sendable {
    /// Encodes text in which added tokens (`<|EOT|>`, `<audio_12>` ...) become single ids.
    ///
    /// Never adds a begin-of-sequence id. With `addDummyPrefix` the section at offset 0 gets the
    /// word-start mark, as the Hugging Face fast tokenizer does.
    func encode(_ text: String, addDummyPrefix: Bool) -> [Int]
    /// Encodes user text: added tokens are spelled out like any other text.
    func encodePlain(_ text: String, addDummyPrefix: Bool) -> [Int]
    /// Decodes ids to text; ids of added tokens give their literal strings.
    func decode(_ ids: [Int]) -> String
    /// The id of a piece, or nil when the vocabulary lacks it.
    func id(ofPiece piece: String) -> Int?
    /// The begin-of-sequence id.
    var bosID: Int { get }
    /// Whether every fragment that is encoded on its own starts with the begin-of-sequence id.
    var addsBOS: Bool { get }
    /// The id of `<audio_0>`, or nil for a vocabulary without audio tokens.
    var audioBaseID: Int? { get }
    /// Number of ids.
    var vocabularySize: Int { get }
}

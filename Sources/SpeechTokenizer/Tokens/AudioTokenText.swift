// The written form of audio tokens, `<audio_17><audio_903>...`: indices to text and text to indices.

extension AudioTokenLayout {
    private static let opening = "<audio_"

    /// Writes indices as token strings without anything between them.
    public func text(of indices: [Int]) -> String {
        indices.map { "<audio_\($0)>" }.joined()
    }

    /// Reads token strings; spaces and line breaks between tokens are skipped.
    ///
    /// Throws where something else stands between tokens, where a token is not written as the
    /// vocabulary has it (`<audio_17>`), and where an index is outside the codebooks.
    public func parse(_ text: String) throws(SpeechTokenizerError) -> [Int] {
        var indices: [Int] = []
        var rest = text[...]
        var character = 0
        while true {
            let skipped = rest.prefix { $0.isWhitespace }
            character += skipped.count
            rest = rest[skipped.endIndex...]
            if rest.isEmpty {
                return indices
            }
            guard let (index, length) = Self.readToken(rest) else {
                throw .malformedToken(character: character, text: Self.excerpt(rest))
            }
            guard index < count else {
                throw .indexOutOfRange(token: indices.count, index: index, count: count)
            }
            indices.append(index)
            character += length
            rest = rest.dropFirst(length)
        }
    }

    /// The index of the token at the start of the text and its length in characters.
    private static func readToken(_ text: Substring) -> (index: Int, length: Int)? {
        guard text.hasPrefix(opening) else { return nil }
        let digits = text.dropFirst(opening.count).prefix { ("0"..."9").contains($0) }
        guard digits.endIndex < text.endIndex, text[digits.endIndex] == ">",
            let index = Int(digits), String(index) == digits
        else { return nil }
        return (index, opening.count + digits.count + 1)
    }

    /// The first characters of what is wrong, up to the next token or a limit.
    private static func excerpt(_ text: Substring) -> String {
        let limit = 24
        let visible = text.prefix(limit)
        let end = visible.dropFirst().firstIndex(of: "<") ?? visible.endIndex
        let cut = end == visible.endIndex && visible.endIndex < text.endIndex
        return visible[..<end] + (cut ? "..." : "")
    }
}

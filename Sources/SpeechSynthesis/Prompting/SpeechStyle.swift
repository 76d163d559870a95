// Emotion, language and pace of speech as structured options, written as the bracket tags that the
// models were trained on, and the reading of tags that stand in a text.

/// How a text is to be spoken.
public struct SpeechStyle: Sendable, Equatable {
    /// One of `emotions`.
    public var emotion: String?
    /// One of `languages`.
    public var language: String?
    /// One of `paces`.
    public var pace: String?

    /// The emotions that the published models were trained on.
    public static let emotions = ["高兴1", "高兴2", "生气1", "生气2", "悲伤1", "撒娇1"]
    /// The languages and dialects that the published models were trained on.
    public static let languages = ["中文", "英文", "韩语", "日语", "四川话", "粤语", "广东话"]
    /// The paces that the published models were trained on.
    public static let paces = ["慢速1", "慢速2", "快速1", "快速2"]

    /// Makes a style; nil leaves a side to the model.
    public init(emotion: String? = nil, language: String? = nil, pace: String? = nil) {
        self.emotion = emotion
        self.language = language
        self.pace = pace
    }

    /// Refuses names that the models do not know.
    public func validate() throws(SpeechSynthesisError) {
        let sides = [
            ("emotion", emotion, Self.emotions), ("language", language, Self.languages),
            ("pace", pace, Self.paces),
        ]
        for (kind, value, accepted) in sides {
            if let value, !accepted.contains(value) {
                throw .unknownStyle(kind: kind, value: value, accepted: accepted)
            }
        }
    }

    /// The tags in the order of the original's user interface, such as `(高兴1)(四川话)`.
    public var tags: String {
        [emotion, language, pace].compactMap(\.self).map { "(\($0))" }.joined()
    }
}

/// Bracket tags at the start of a text.
public enum BracketTag {
    /// The styles of singing, which need the Music checkpoint.
    public static let vocalStyles = ["RAP", "哼唱"]

    private static let openings: Set<Character> = ["(", "（"]
    private static let closings: Set<Character> = [")", "）"]

    /// The name in the brackets at the very start, empty when there are none.
    ///
    /// As the original reads it: the text up to the first inner ASCII bracket, or to the last
    /// full-width closing one before it.
    public static func instruction(of text: String) -> String {
        guard let first = text.first, openings.contains(first) else { return "" }
        var end: String.Index?
        for index in text.indices.dropFirst() {
            let character = text[index]
            if character == "(" { break }
            if closings.contains(character) { end = text.index(after: index) }
            if character == ")" { break }
        }
        guard let end else { return "" }
        let brackets = openings.union(closings)
        let name = text[..<end].drop { brackets.contains($0) }
        return String(name.reversed().drop { brackets.contains($0) }.reversed())
    }

    /// All tags at the start of a text and the text behind them.
    ///
    /// Only short brackets without line breaks count as tags, so that a sentence in brackets stays
    /// text.
    public static func split(_ text: String) -> (tags: String, rest: String) {
        var rest = text[...]
        while let first = rest.first, openings.contains(first) {
            guard let close = rest.firstIndex(where: { closings.contains($0) }) else { break }
            let name = rest[rest.index(after: rest.startIndex)..<close]
            guard isTagName(name) else { break }
            rest = rest[rest.index(after: close)...]
        }
        return (String(text[..<rest.startIndex]), String(rest))
    }

    /// Names are the known ones, or short words without spaces and punctuation.
    private static func isTagName(_ name: Substring) -> Bool {
        let known = SpeechStyle.emotions + SpeechStyle.languages + SpeechStyle.paces + vocalStyles
        if known.contains(String(name)) { return true }
        return (1...8).contains(name.count)
            && name.allSatisfy { $0.isLetter || $0.isNumber }
            && name.unicodeScalars.contains { $0.value > 0x2E80 }
    }
}

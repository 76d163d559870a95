// Splits long text at sentence ends, so that each part is as long as the speech model speaks well.
// Chinese, Japanese and Western punctuation; never inside a number, an abbreviation, a web address
// or brackets that hold a tag.

/// Splits text into parts that are spoken one after the other.
public struct SentenceSplitter: Sendable {
    /// Shortest sentence in seconds of speech that is spoken alone; "Yes." goes with what follows.
    static let shortestPart = 0.6

    /// Longest part in seconds of speech, by the estimate below.
    public let longestPart: Double

    /// Makes a splitter.
    public init(longestPart: Double = 10) {
        self.longestPart = longestPart
    }

    /// Abbreviations whose full stop does not end a sentence.
    static let abbreviations: Set<String> = [
        "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "vs", "etc", "e.g", "i.e", "eg", "ie",
        "no", "vol", "fig", "inc", "ltd", "co", "corp", "dept", "approx", "jan", "feb", "mar",
        "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "a.m", "p.m", "u.s", "u.k",
        "ph.d", "mt", "ft", "gen", "col", "capt", "lt", "sgt", "rev", "hon", "gov", "sen", "rep",
        "messrs", "al", "cf", "ca", "pp", "eds", "ave", "blvd", "rd", "tel",
    ]
    private static let wideEnds: Set<Character> = ["。", "！", "？", "…", "；", "｡"]
    private static let narrowEnds: Set<Character> = [".", "!", "?", ";"]
    private static let pauses: Set<Character> = ["，", "、", ",", "：", ":", "—", "–"]
    private static let closers: Set<Character> = [
        "\"", "'", "”", "’", "」", "』", "》", "）", ")", "]", "】",
    ]

    /// Seconds that a text takes to speak: 0.22 a wide character, 0.075 any other.
    public static func seconds(_ text: some StringProtocol) -> Double {
        text.unicodeScalars.reduce(0) { $0 + ($1.value >= 0x2E80 ? 0.22 : 0.075) }
    }

    /// The parts of a text in order, which is all of it but for white space between them.
    ///
    /// A part is a sentence; a very short one goes with the next, a long one is cut at its pauses. Leading tags are repeated in front of every part.
    public func split(_ text: String) -> [String] {
        let (tags, body) = BracketTag.split(text)
        var parts: [String] = []
        var current = ""
        for sentence in sentences(body) {
            for piece in shortened(sentence) {
                if !current.isEmpty, Self.seconds(current + piece) > longestPart {
                    parts.append(current)
                    current = piece
                } else {
                    current += piece
                }
            }
            if Self.seconds(current) >= Self.shortestPart {
                parts.append(current)
                current = ""
            }
        }
        parts.append(current)
        return parts.map(Self.trimmed).filter { $0.contains { !$0.isWhitespace } }
            .map { tags + $0 }
    }

    /// The sentences of a text, each with the white space behind it.
    func sentences(_ text: String) -> [String] {
        let characters = Array(text)
        let inBrackets = Self.bracketed(characters)
        var result: [String] = []
        var start = 0
        var index = 0
        while index < characters.count {
            let isBreak = characters[index].isNewline
            if isBreak || (!inBrackets[index] && endsSentence(characters, index)) {
                index += 1
                while index < characters.count,
                    Self.wideEnds.contains(characters[index])
                        || Self.narrowEnds.contains(characters[index])
                        || Self.closers.contains(characters[index])
                        || characters[index].isWhitespace
                {
                    index += 1
                }
                result.append(String(characters[start..<index]))
                start = index
            } else {
                index += 1
            }
        }
        if start < characters.count {
            result.append(String(characters[start...]))
        }
        return result
    }

    /// Whether a sentence ends with the character at an index.
    private func endsSentence(_ text: [Character], _ index: Int) -> Bool {
        let character = text[index]
        if Self.wideEnds.contains(character) { return true }
        guard Self.narrowEnds.contains(character) else { return false }
        var next = index + 1
        while next < text.count,
            Self.closers.contains(text[next]) || Self.narrowEnds.contains(text[next])
        {
            next += 1
        }
        guard next == text.count || text[next].isWhitespace || Self.isWide(text[next]) else {
            return false
        }
        guard character == "." else { return true }
        var first = index
        while first > 0, text[first - 1].isLetter || text[first - 1] == "." {
            first -= 1
        }
        let word = String(text[first..<index]).lowercased()
        if Self.abbreviations.contains(word) {
            return next == text.count
        }
        // A single letter is an initial; so is every letter of U.S.A.
        let isInitial = word.count == 1 && text[index - 1].isUppercase && word != "i"
        return !isInitial || next == text.count
    }

    /// A sentence that is too long, cut at pauses and, failing that, between words.
    private func shortened(_ sentence: String) -> [String] {
        guard Self.seconds(sentence) > longestPart else { return [sentence] }
        return cut(sentence) { characters, index in
            let isBetweenDigits =
                index > 0 && index + 1 < characters.count
                && characters[index - 1].isNumber && characters[index + 1].isNumber
            return Self.pauses.contains(characters[index]) && !isBetweenDigits
        }.flatMap { part in
            Self.seconds(part) <= longestPart
                ? [part] : cut(part) { $0[$1].isWhitespace || Self.isWide($0[$1]) }
        }
    }

    /// Packs pieces that end where `isBoundary` says into parts that are short enough; places in
    /// brackets are no boundaries.
    private func cut(
        _ text: String, at isBoundary: ([Character], Int) -> Bool
    ) -> [String] {
        let characters = Array(text)
        let inBrackets = Self.bracketed(characters)
        var result: [String] = []
        var (current, piece) = ("", "")
        for index in characters.indices {
            piece.append(characters[index])
            guard
                index == characters.count - 1
                    || (!inBrackets[index] && isBoundary(characters, index))
            else { continue }
            if !current.isEmpty, Self.seconds(current + piece) > longestPart {
                result.append(current)
                current = ""
            }
            current += piece
            piece = ""
        }
        return current.isEmpty ? result : result + [current]
    }

    /// Longest bracket that is kept whole, in characters.
    private static let longestBracket = 60
    private static let brackets: [Character: Character] = [
        "(": ")", "（": "）", "[": "]", "【": "】",
    ]

    /// Which characters stand in short brackets of one line, without the closing one.
    ///
    /// A bracket that nobody closes, as in ":(", holds nothing.
    private static func bracketed(_ text: [Character]) -> [Bool] {
        var result = [Bool](repeating: false, count: text.count)
        for (start, character) in text.enumerated() {
            guard let closing = brackets[character] else { continue }
            let other: Character = closing == "）" ? ")" : closing == ")" ? "）" : closing
            let inside = text[start..<min(start + longestBracket, text.count)]
                .prefix { !$0.isNewline }
            // At the end of a text that is still being written the closing one may come yet.
            let close = inside.firstIndex { $0 == closing || $0 == other }
            guard let end = close ?? (inside.endIndex == text.count ? text.count : nil) else {
                continue
            }
            for index in start..<end {
                result[index] = true
            }
        }
        return result
    }

    private static func isWide(_ character: Character) -> Bool {
        character.unicodeScalars.contains { $0.value >= 0x2E80 }
    }

    private static func trimmed(_ text: String) -> String {
        let start = text.drop { $0.isWhitespace }
        return String(start.reversed().drop { $0.isWhitespace }.reversed())
    }
}

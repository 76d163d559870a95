// Cuts text that is still being written into sentences that can already be spoken.

/// Gives out whole sentences while their text arrives piece by piece.
public struct SentenceStream: Sendable {
    private let splitter = SentenceSplitter()
    private var rest = ""
    private var tags: String?

    /// A stream without text.
    public init() {}

    /// The sentences that a further piece completes.
    ///
    /// A sentence is complete when the next one has begun:
    /// only then is a full stop known to be no decimal point or abbreviation. Leading tags are repeated
    /// in front of every sentence.
    public mutating func append(_ piece: String) -> [String] {
        rest += piece
        var complete: [String] = []
        var waiting = ""
        let sentences = splitter.sentences(rest)
        for sentence in sentences.dropLast() {
            waiting += sentence
            guard SentenceSplitter.seconds(waiting) >= SentenceSplitter.shortestPart else {
                continue
            }
            complete.append(waiting)
            waiting = ""
        }
        guard !complete.isEmpty else { return [] }
        rest = waiting + (sentences.last ?? "")
        return complete.flatMap { tagged($0) }
    }

    /// What is left when the text has ended.
    public mutating func finish() -> [String] {
        defer { rest = "" }
        return tagged(rest)
    }

    private mutating func tagged(_ sentence: String) -> [String] {
        let (own, _) = BracketTag.split(sentence)
        if tags == nil { tags = own }
        let text = own.isEmpty ? (tags ?? "") + sentence : sentence
        return splitter.split(text)
    }
}

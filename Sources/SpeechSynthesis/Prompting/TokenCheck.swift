// Checks the ids that the speech language model generated before they reach the decoder, and repairs
// what can be repaired: ids outside the audio range, a broken 2:3 phase, a cut-off last group, runaway
// repetition, a missing end token.

/// How the two codebooks lie in the range of audio ids.
public struct TokenLayout: Sendable, Equatable {
    /// The id of `<audio_0>`.
    public let firstID: Int
    /// Linguistic codes, the first ids.
    public let linguisticCount: Int
    /// All audio ids.
    public let count: Int

    /// Describes a vocabulary's audio ids.
    public init(firstID: Int, linguisticCount: Int, count: Int) {
        self.firstID = firstID
        self.linguisticCount = linguisticCount
        self.count = count
    }

    /// Linguistic codes in a group, then semantic ones.
    public static let linguisticPerGroup = 2
    /// Tokens of a group, 120 ms of speech.
    public static let groupSize = 5

    /// The audio ids.
    public var ids: Range<Int> { firstID..<firstID + count }
}

/// What was wrong with generated ids.
public enum TokenFinding: Sendable, Equatable, CustomStringConvertible {
    /// Ids that are no audio tokens were left out.
    case outsideRange(count: Int)
    /// Tokens that did not fit their place in a group were left out.
    case brokenPhase(count: Int)
    /// The last group was not whole and was left out.
    case cutOffGroup(tokens: Int)
    /// The same groups came again and again; all but the first rounds were left out.
    case runawayRepetition(groups: Int)
    /// The token limit was reached before the end token.
    case noEndToken

    /// The finding in words.
    public var description: String {
        switch self {
        case .outsideRange(let count): "\(count) ids outside the audio range left out"
        case .brokenPhase(let count): "\(count) tokens out of the 2:3 order left out"
        case .cutOffGroup(let tokens): "a cut-off last group of \(tokens) tokens left out"
        case .runawayRepetition(let groups): "\(groups) groups of runaway repetition left out"
        case .noEndToken: "the token limit was reached before the end token"
        }
    }

    /// Whether another attempt may do better: the speech itself is doubtful, not just its edges.
    var isSerious: Bool {
        switch self {
        case .runawayRepetition, .noEndToken, .brokenPhase: true
        case .outsideRange, .cutOffGroup: false
        }
    }
}

/// Checks and repairs generated ids.
public enum TokenCheck {
    /// Rounds of the same groups that are left alone; pauses hold one group for longer than speech.
    static let longestPause = 16
    /// Longest cycle of groups that counts as repetition.
    static let longestCycle = 8
    /// Rounds of a cycle of several groups that are left alone.
    static let roundsKept = 3

    /// Whole groups of decoder tokens (counted from `<audio_0>`), and what was wrong.
    public static func repair(
        _ ids: [Int], layout: TokenLayout, endsProperly: Bool
    ) -> (tokens: [Int], findings: [TokenFinding]) {
        var growing = GrowingTokens(layout: layout)
        for id in ids { growing.append(id) }
        return (growing.tokens, growing.findings(endsProperly: endsProperly))
    }

    /// Whether the newest ids go round in a circle; asked while ids are being generated.
    static func isRunaway(_ ids: [Int]) -> Bool {
        let size = TokenLayout.groupSize
        guard ids.count % size == 0 else { return false }
        for cycle in 1...longestCycle {
            let rounds = cycle == 1 ? 2 * longestPause : 2 * roundsKept + 2
            let span = cycle * size
            guard ids.count >= rounds * span else { continue }
            let tail = ids[(ids.count - rounds * span)...]
            // A pause holds one group; only the first cycle length looks at it.
            let isPause = tail.prefix(span).enumerated().allSatisfy {
                $0.element == tail[tail.startIndex + $0.offset % size]
            }
            if cycle > 1, isPause { continue }
            if tail.indices.dropFirst(span).allSatisfy({ tail[$0] == tail[$0 - span] }) {
                return true
            }
        }
        return false
    }
}

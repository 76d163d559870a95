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
        var findings: [TokenFinding] = []
        let inside = ids.filter { layout.ids.contains($0) }.map { $0 - layout.firstID }
        if inside.count < ids.count {
            findings.append(.outsideRange(count: ids.count - inside.count))
        }
        let (groups, misplaced, rest) = group(inside, layout: layout)
        if misplaced > 0 {
            findings.append(.brokenPhase(count: misplaced))
        }
        if rest > 0 {
            findings.append(.cutOffGroup(tokens: rest))
        }
        let kept = withoutRepetition(groups)
        if kept.count < groups.count {
            findings.append(.runawayRepetition(groups: groups.count - kept.count))
        }
        if !endsProperly {
            findings.append(.noEndToken)
        }
        return (kept.flatMap { $0 }, findings)
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

    /// Groups in order, the number of tokens that fit no group, and those of an unfinished one.
    private static func group(
        _ tokens: [Int], layout: TokenLayout
    ) -> (groups: [[Int]], misplaced: Int, rest: Int) {
        var groups: [[Int]] = []
        var current: [Int] = []
        var misplaced = 0
        for token in tokens {
            let isLinguistic = token < layout.linguisticCount
            if isLinguistic != (current.count < TokenLayout.linguisticPerGroup) {
                // A linguistic token opens the next group; the unfinished one is lost.
                misplaced += current.count
                current = []
                if !isLinguistic {
                    misplaced += 1
                    continue
                }
            }
            current.append(token)
            if current.count == TokenLayout.groupSize {
                groups.append(current)
                current = []
            }
        }
        return (groups, misplaced, current.count)
    }

    /// The groups without the later rounds of cycles.
    private static func withoutRepetition(_ groups: [[Int]]) -> [[Int]] {
        var kept: [[Int]] = []
        var index = 0
        outer: while index < groups.count {
            for cycle in 1...longestCycle {
                let allowed = cycle == 1 ? longestPause : roundsKept
                // A pause holds one group; only the first cycle length looks at it.
                let end = min(index + cycle, groups.count)
                if cycle > 1, groups[index..<end].allSatisfy({ $0 == groups[index] }) { continue }
                var rounds = 1
                while index + (rounds + 1) * cycle <= groups.count,
                    groups[index..<index + cycle]
                        == groups[index + rounds * cycle..<index + (rounds + 1) * cycle]
                {
                    rounds += 1
                }
                if rounds > allowed {
                    kept += groups[index..<index + min(allowed, rounds) * cycle]
                    index += rounds * cycle
                    continue outer
                }
            }
            kept.append(groups[index])
            index += 1
        }
        return kept
    }
}

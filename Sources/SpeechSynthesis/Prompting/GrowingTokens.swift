// The token check while ids are still being drawn: whole groups are given out as they come, so what is
// given out can only depend on what came before.

/// Groups the ids of one sentence and leaves out what cannot be spoken.
package struct GrowingTokens: Sendable {
    private let layout: TokenLayout
    private var current: [Int] = []
    private var misplaced = 0
    private var outside = 0
    private var repeated = 0
    private var groups: [[Int]] = []
    /// Tokens of whole groups that are ready, counted from `<audio_0>`.
    package private(set) var tokens: [Int] = []
    /// All ids that were drawn.
    private(set) var ids: [Int] = []

    package init(layout: TokenLayout) {
        self.layout = layout
    }

    package mutating func append(_ id: Int) {
        ids.append(id)
        guard layout.ids.contains(id) else {
            outside += 1
            return
        }
        let token = id - layout.firstID
        let isLinguistic = token < layout.linguisticCount
        if isLinguistic != (current.count < TokenLayout.linguisticPerGroup) {
            misplaced += current.count
            current = []
            if !isLinguistic {
                misplaced += 1
                return
            }
        }
        current.append(token)
        guard current.count == TokenLayout.groupSize else { return }
        groups.append(current)
        if isRoundTooMany {
            repeated += 1
        } else {
            tokens += current
        }
        current = []
    }

    /// Whether the newest group belongs to a round of a cycle beyond those that are left alone.
    private var isRoundTooMany: Bool {
        for cycle in 1...TokenCheck.longestCycle {
            let rounds = cycle == 1 ? TokenCheck.longestPause : TokenCheck.roundsKept
            let span = rounds * cycle + 1
            guard groups.count >= span else { continue }
            let tail = groups[(groups.count - span)...]
            // A pause holds one group; only the first cycle length looks at it.
            if cycle > 1, tail.prefix(cycle).allSatisfy({ $0 == tail[tail.startIndex] }) {
                continue
            }
            if tail.indices.dropFirst(cycle).allSatisfy({ tail[$0] == tail[$0 - cycle] }) {
                return true
            }
        }
        return false
    }

    /// Whether the newest ids go round in a circle, so that drawing more is useless.
    package var isRunaway: Bool { TokenCheck.isRunaway(ids) }

    /// What was wrong so far; `ended` is nil while ids are still being drawn.
    package func findings(endsProperly ended: Bool?) -> [TokenFinding] {
        var findings: [TokenFinding] = []
        if outside > 0 { findings.append(.outsideRange(count: outside)) }
        if misplaced > 0 { findings.append(.brokenPhase(count: misplaced)) }
        if ended != nil, !current.isEmpty { findings.append(.cutOffGroup(tokens: current.count)) }
        if repeated > 0 { findings.append(.runawayRepetition(groups: repeated)) }
        if ended == false { findings.append(.noEndToken) }
        return findings
    }
}

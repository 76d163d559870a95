// Generated ids are checked and repaired before they are decoded.

import SpeechSynthesis
import Testing

struct TokenCheckTests {
    // Ids 100...104 are linguistic, 105...109 semantic.
    private let layout = TokenLayout(firstID: 100, linguisticCount: 5, count: 10)

    private func repair(_ ids: [Int], ended: Bool = true) -> (
        tokens: [Int], findings: [TokenFinding]
    ) {
        TokenCheck.repair(ids, layout: layout, endsProperly: ended)
    }

    @Test func soundTokensPass() {
        let result = repair([100, 104, 105, 106, 109, 101, 101, 107, 107, 107])
        #expect(result.tokens == [0, 4, 5, 6, 9, 1, 1, 7, 7, 7])
        #expect(result.findings.isEmpty)
    }

    @Test func idsOutsideTheRangeGo() {
        let result = repair([3, 100, 100, 110, 105, 105, 105, 99])
        #expect(result.tokens == [0, 0, 5, 5, 5])
        #expect(result.findings == [.outsideRange(count: 3)])
    }

    @Test func aBrokenPhaseIsMended() {
        // The second group lacks a semantic token; the third is whole again.
        let result = repair([100, 100, 105, 105, 105, 101, 101, 106, 106, 102, 102, 107, 107, 107])
        #expect(result.tokens == [0, 0, 5, 5, 5, 2, 2, 7, 7, 7])
        #expect(result.findings == [.brokenPhase(count: 4)])
    }

    @Test func aStartInTheMiddleOfAGroupIsMended() {
        let result = repair([105, 105, 100, 100, 105, 105, 105])
        #expect(result.tokens == [0, 0, 5, 5, 5])
        #expect(result.findings == [.brokenPhase(count: 2)])
    }

    @Test func aCutOffGroupGoes() {
        let result = repair([100, 100, 105, 105, 105, 101, 101, 106])
        #expect(result.tokens.count == 5)
        #expect(result.findings == [.cutOffGroup(tokens: 3)])
    }

    @Test func aMissingEndIsReported() {
        #expect(repair([100, 100, 105, 105, 105], ended: false).findings == [.noEndToken])
    }

    @Test func runawayRepetitionIsCut() {
        let group = [100, 101, 105, 106, 107]
        let ids = Array(repeating: group, count: 200).flatMap { $0 }
        let result = repair(ids, ended: false)
        #expect(result.tokens.count == 16 * 5)
        #expect(result.findings == [.runawayRepetition(groups: 184), .noEndToken])
    }

    @Test func cyclesOfSeveralGroupsAreCut() {
        let cycle = [100, 100, 105, 105, 105, 101, 101, 106, 106, 106, 102, 102, 107, 107, 107]
        let ids = [103, 103, 108, 108, 108] + Array(repeating: cycle, count: 20).flatMap { $0 }
        let result = repair(ids)
        #expect(result.tokens.count == 5 + 3 * 15)
        #expect(result.findings == [.runawayRepetition(groups: 17 * 3)])
    }

    @Test func pausesAreNoRunaway() {
        let pause = Array(repeating: [100, 100, 105, 105, 105], count: 12).flatMap { $0 }
        #expect(repair(pause).findings.isEmpty)
    }

    @Test func nothingIsNothing() {
        #expect(repair([]).tokens.isEmpty)
        #expect(repair([3, 4, 5]).findings == [.outsideRange(count: 3)])
    }

    @Test func findingsAreReadable() {
        #expect(
            [TokenFinding.outsideRange(count: 2), .noEndToken].map(\.description) == [
                "2 ids outside the audio range left out",
                "the token limit was reached before the end token",
            ])
    }
}

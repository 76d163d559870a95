// From logits to probabilities, by hand.

import Foundation
import LanguageModel
import LanguageModelInterface
import Testing

struct SamplerTests {
    private func probabilities(
        _ logits: [Float], history: [Int] = [], temperature: Float = 1, topP: Float = 1,
        topK: Int = 0, rule: Bool = false
    ) throws -> [Float] {
        let options = SamplingOptions(
            temperature: temperature, topP: topP, topK: topK, repetitionRule: rule)
        return try #require(
            Sampler.probabilities(logits, history: history, options: options))
    }

    private func close(_ left: [Float], _ right: [Float]) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { abs($0 - $1) < 1e-6 }
    }

    // The logarithms of 8, 4, 2, 2.
    private let logits = [8.0, 4, 2, 2].map { Float(Foundation.log($0)) }

    @Test func softmaxWithTemperature() throws {
        #expect(close(try probabilities(logits), [0.5, 0.25, 0.125, 0.125]))
        // Temperature 1/2 squares the odds: 64, 16, 4, 4 of 88.
        #expect(
            close(
                try probabilities(logits, temperature: 0.5), [64 / 88, 16 / 88, 4 / 88, 4 / 88]))
        #expect(try probabilities(logits, temperature: 0) == [1, 0, 0, 0])
    }

    @Test func topKKeepsTies() throws {
        #expect(close(try probabilities(logits, topK: 2), [8 / 12, 4 / 12, 0, 0]))
        #expect(close(try probabilities(logits, topK: 3), [0.5, 0.25, 0.125, 0.125]))
        #expect(close(try probabilities(logits, topK: 9), [0.5, 0.25, 0.125, 0.125]))
    }

    @Test func topPKeepsTheCrossingOne() throws {
        #expect(close(try probabilities(logits, topP: 0.4), [1, 0, 0, 0]))
        #expect(close(try probabilities(logits, topP: 0.6), [8 / 12, 4 / 12, 0, 0]))
        #expect(close(try probabilities(logits, topP: 0.01), [1, 0, 0, 0]))
    }

    @Test(
        arguments: [
            ([1, 2, 3, 4, 5, 6, 7, 8, 3], nil),
            ([9, 1, 2, 3, 4, 5, 6, 7, 8, 0], nil),
            ([0, 1, 2, 3, 4, 5, 6, 7, 8, 0], 0),
            ([5, 5, 0, 1, 2, 3, 4, 6, 7, 8, 9, 5], nil),
            ([1, 2, 3, 4, 5, 6, 7, 8, 2, 2], 2),
            ([], nil),
        ] as [([Int], Int?)])
    func bansTheNewestIDSeenTwiceInTen(history: [Int], banned: Int?) {
        #expect(Sampler.bannedID(history: history) == banned)
    }

    @Test func theRuleAppliesBeforeEverythingElse() throws {
        let history = [0, 1, 2, 3, 1, 2, 3, 1, 2, 0]
        #expect(
            close(
                try probabilities(logits, history: history, topK: 1, rule: true), [0, 1, 0, 0]))
        #expect(
            close(
                try probabilities(logits, history: history, rule: false), [0.5, 0.25, 0.125, 0.125])
        )
    }

    @Test func drawsFollowTheProbabilities() throws {
        var sampler = try Sampler(SamplingOptions(temperature: 1, seed: 3))
        var counts = [0, 0, 0, 0]
        for _ in 0..<4000 {
            let drawn = sampler.next(logits, history: [])
            counts[try #require(drawn)] += 1
        }
        #expect(abs(counts[0] - 2000) < 150)
        #expect(abs(counts[1] - 1000) < 130)
        #expect(abs(counts[2] - 500) < 100)
    }

    @Test func logitsThatAreNotFiniteGiveNothing() {
        let options = SamplingOptions()
        #expect(Sampler.probabilities([1, .nan], history: [], options: options) == nil)
        #expect(
            Sampler.probabilities([-.infinity, -.infinity], history: [], options: options) == nil)
    }

    @Test(arguments: [
        (SamplingOptions(temperature: .nan), "temperature is nan; accepted: a finite number"),
        (SamplingOptions(topP: 0), "top-p is 0.0; accepted: above 0, at most 1"),
        (SamplingOptions(topP: 1.5), "top-p is 1.5; accepted: above 0, at most 1"),
        (SamplingOptions(topK: -1), "top-k is -1; accepted: 0 (off) or more"),
    ])
    func refusesBadOptions(options: SamplingOptions, message: String) {
        let error = #expect(throws: LanguageModelError.self) { try Sampler(options) }
        #expect(error?.description == message)
    }
}

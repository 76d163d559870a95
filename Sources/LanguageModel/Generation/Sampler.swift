// From logits to the next token: repetition rule, temperature, top-k, top-p, draw, in this order.
// Sources: Holtzman et al., "The Curious Case of Neural Text Degeneration" (2020) for top-p;
// stepfun-ai/Step-Audio, utils.py, for the repetition rule.

import Foundation
import LanguageModelInterface
import TensorCore

/// Draws tokens.
public struct Sampler: Sendable {
    /// The options.
    public let options: SamplingOptions
    private var generator: SeededGenerator

    /// Tokens that the repetition rule looks back over, the newest included.
    public static let repetitionWindow = 10

    /// Checks the options and seeds the draws.
    public init(_ options: SamplingOptions) throws(LanguageModelError) {
        guard options.temperature.isFinite else {
            throw .badSampling(
                option: "temperature", value: "\(options.temperature)", accepted: "a finite number")
        }
        guard options.topP > 0, options.topP <= 1 else {
            throw .badSampling(
                option: "top-p", value: "\(options.topP)", accepted: "above 0, at most 1")
        }
        guard options.topK >= 0 else {
            throw .badSampling(
                option: "top-k", value: "\(options.topK)", accepted: "0 (off) or more")
        }
        self.options = options
        generator = SeededGenerator(seed: options.seed)
    }

    /// The id that the repetition rule bans after this history of prompt and answer, if any: the
    /// newest id, when it stands at least twice among the last ten.
    public static func bannedID(history: [Int]) -> Int? {
        guard history.count >= repetitionWindow, let newest = history.last else { return nil }
        return history.suffix(repetitionWindow).count { $0 == newest } >= 2 ? newest : nil
    }

    /// Probabilities of every candidate, [V]; they add up to 1.
    ///
    /// `firstID` is the id of the first logit. Without temperature all mass is on the largest.
    public static func probabilities(
        _ logits: [Float], history: [Int], options: SamplingOptions, firstID: Int = 0
    ) -> [Float]? {
        var scores = logits
        if options.repetitionRule, let banned = bannedID(history: history) {
            let index = banned - firstID
            if scores.indices.contains(index) {
                scores[index] = -.infinity
            }
        }
        guard let top = scores.max(), top.isFinite, !scores.contains(where: \.isNaN) else {
            return nil
        }
        if options.temperature <= 0 {
            let best = scores.firstIndex(of: top) ?? 0
            return scores.indices.map { $0 == best ? 1 : 0 }
        }
        var weights = scores.map { exp(Double(($0 - top) / options.temperature)) }
        if options.topK > 0, options.topK < weights.count {
            let bound = weights.sorted(by: >)[options.topK - 1]
            weights = weights.map { $0 < bound ? 0 : $0 }
        }
        let total = weights.reduce(0, +)
        if options.topP < 1 {
            keepNucleus(&weights, mass: Double(options.topP), total: total)
        }
        let kept = weights.reduce(0, +)
        return weights.map { Float($0 / kept) }
    }

    /// Keeps the most likely candidates until their mass reaches `mass`, the crossing one included.
    ///
    /// As the reference does it: in ascending order, candidates go while their cumulative share is
    /// at most 1 - mass.
    private static func keepNucleus(_ weights: inout [Double], mass: Double, total: Double) {
        let ascending = weights.indices.filter { weights[$0] > 0 }.sorted {
            (weights[$0], $0) < (weights[$1], $1)
        }
        var sum = 0.0
        for index in ascending.dropLast() {
            sum += weights[index] / total
            if Float(sum) <= Float(1 - Float(mass)) {
                weights[index] = 0
            } else {
                break
            }
        }
    }

    /// Draws the next id; nil when no logit is finite.
    public mutating func next(_ logits: [Float], history: [Int], firstID: Int = 0) -> Int? {
        guard
            let probabilities = Self.probabilities(
                logits, history: history, options: options, firstID: firstID)
        else { return nil }
        if options.temperature <= 0 {
            return probabilities.firstIndex(of: 1).map { $0 + firstID }
        }
        let draw = generator.uniform()
        var sum = 0.0
        var last = 0
        for (index, probability) in probabilities.enumerated() where probability > 0 {
            sum += Double(probability)
            last = index
            if draw < sum {
                return index + firstID
            }
        }
        return last + firstID
    }
}

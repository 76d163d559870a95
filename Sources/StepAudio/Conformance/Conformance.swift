// Runs conformance cases on a bundle: every stage alone, compared with an independent oracle's tensors.
// This file picks the stage and judges; Stages+*.swift compute.

import AudioSignal
import Checkpoints
import Foundation
import LanguageModel
import SpeechSynthesis
import SpeechTokenizer
import TensorCore

/// What one case gave.
public struct StageResult: Sendable, Encodable {
    /// The stage.
    public let stage: String
    /// The case within the stage.
    public let name: String
    /// One comparison an expected output.
    public let comparisons: [Comparison]
    /// Why the case could not be judged.
    public let problem: String?
    /// Whether every tolerance is met.
    public var passed: Bool {
        problem == nil && !comparisons.isEmpty && comparisons.allSatisfy(\.passed)
    }

    private enum CodingKeys: String, CodingKey {
        case stage, name, comparisons, problem, passed
    }

    /// Writes the result with its verdict.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(stage, forKey: .stage)
        try container.encode(name, forKey: .name)
        try container.encode(comparisons, forKey: .comparisons)
        try container.encodeIfPresent(problem, forKey: .problem)
        try container.encode(passed, forKey: .passed)
    }

    /// One line a case: verdict, figures and what is wrong.
    public var line: String {
        let figures = comparisons.map { comparison in
            var parts = ["\(comparison.output) \(comparison.shape)"]
            if let share = comparison.exactShare {
                parts.append("exact \((share * 10_000).rounded() / 100) %")
            }
            if let largest = comparison.maximumDifference, let mean = comparison.meanDifference {
                parts.append("max \(Self.short(largest)) mean \(Self.short(mean))")
            }
            if let cosine = comparison.cosine {
                parts.append("cosine \((cosine * 1e7).rounded() / 1e7)")
            }
            if let ratio = comparison.signalToNoise {
                parts.append("SNR \((ratio * 10).rounded() / 10) dB")
            }
            if let problem = comparison.problem {
                parts.append("(\(problem))")
            }
            return parts.joined(separator: " ")
        }
        let details = figures + [problem].compactMap(\.self)
        return "\(passed ? "pass" : "FAIL") \(stage)/\(name): \(details.joined(separator: "; "))"
    }

    private static func short(_ value: Double) -> String {
        String(format: "%.2g", value)
    }
}

/// A bundle under test.
public final class Conformance {
    let parts: ModelParts
    private let bundle: String

    /// Names a bundle; its parts are loaded when a case needs them.
    public init(locations: ModelLocations, precision: WeightPrecision = .fp32) {
        parts = ModelParts(
            locations: locations, precision: precision, progress: { _, _, _ in })
        bundle = locations.bundle
    }

    /// The case files that a bundle brings in its folder `cases`.
    public func bundledCaseFiles() throws -> [String] {
        let folder = bundle + "/cases"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let files = names.filter { $0.hasSuffix(".safetensors") }.sorted()
        guard !files.isEmpty else { throw ConformanceError.noCases(directory: folder) }
        return files.map { folder + "/" + $0 }
    }

    /// What a stage gives for one output, and the bound it has to meet.
    struct StageOutput {
        let name: String
        let value: Comparison.Output
        let tolerance: Tolerance
    }

    typealias Stage = @Sendable (Conformance, CaseInputs) throws -> [StageOutput]

    /// Every stage by its name.
    static let stages: [String: Stage] =
        textStages
        .merging(audioStages) { first, _ in first }
        .merging(tokenizerStages) { first, _ in first }
        .merging(languageModelStages) { first, _ in first }
        .merging(speechStages) { first, _ in first }

    /// Runs one case; whatever goes wrong is in the result.
    public func run(_ each: ConformanceCase) -> StageResult {
        func failure(_ error: any Error) -> StageResult {
            StageResult(
                stage: each.stage, name: each.name, comparisons: [], problem: "\(error)")
        }
        guard let stage = Self.stages[each.stage] else {
            return failure(
                ConformanceError.unknownStage(each.stage, known: Self.stages.keys.sorted()))
        }
        let inputs = CaseInputs(each)
        do {
            let outputs = try stage(self, inputs)
            var comparisons: [Comparison] = []
            for output in outputs {
                guard let expected = each.outputs[output.name] else { continue }
                comparisons.append(
                    Comparison.compare(
                        output.name, computed: output.value, expected: expected,
                        tolerance: output.tolerance))
            }
            let known = Set(outputs.map(\.name))
            let unread =
                inputs.unread.map { "in." + $0 }
                + each.outputs.keys.filter { !known.contains($0) }.sorted().map { "out." + $0 }
            if !unread.isEmpty { return failure(ConformanceError.unreadTensors(unread)) }
            if comparisons.isEmpty {
                return failure(
                    ConformanceError.missingOutput(known: outputs.map(\.name)))
            }
            return StageResult(
                stage: each.stage, name: each.name, comparisons: comparisons, problem: nil)
        } catch {
            return failure(error)
        }
    }
}

extension Conformance.StageOutput {
    static func ids(_ name: String, _ values: [Int]) -> Self {
        Self(name: name, value: .integers(values), tolerance: .exact)
    }

    static func text(_ name: String, _ text: String) -> Self {
        Self(name: name, value: .text(text), tolerance: .exact)
    }

    static func vector(_ name: String, _ values: [Float], _ tolerance: Tolerance) -> Self {
        Self(
            name: name, value: .floats(Tensor(shape: [values.count], values: values)),
            tolerance: tolerance)
    }

    static func matrix(_ name: String, _ value: Tensor, _ tolerance: Tolerance) -> Self {
        Self(name: name, value: .floats(value), tolerance: tolerance)
    }
}

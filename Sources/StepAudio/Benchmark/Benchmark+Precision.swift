// How far the logits of a precision are from those of fp32, on the same tokens. The bundle's models run
// over prompts as in use and what their fp32 form answers; a network of the speech model's true widths has
// heavy-tailed random weights (Student's t with 5 degrees of freedom), fewer layers and a short
// vocabulary.

import AudioSignal
import Checkpoints
import Foundation
import LanguageModel
import SpeechSynthesis
import TensorCore

extension Benchmark {
    func measurePrecision(
        _ shape: Shape, _ results: inout [BenchmarkReport.Result]
    ) async throws {
        let wanted = options.precisions
        switch shape {
        case .chat130B: return
        case .pocket:
            let chat = try locations.layout.chatLanguageModel().folder
            let speech = try locations.layout.speechLanguageModel().folder
            for (folder, prompts) in [
                (chat, try chatPrompts(chat)), (speech, try await speechPrompts(speech)),
            ] {
                progress("precision of \(folder)")
                try compare(prompts, continuation: 40, wanted, shape, &results) {
                    try Step1Model(directory: folder, precision: $0)
                }
            }
        case .tts3B:
            progress("precision of tts-3b widths")
            var c = shape.configuration
            (c.layers, c.vocabularySize) = (min(options.layers ?? 4, 8), 8192)
            let source = try RandomWeights.heavyTailed(c)
            var random = SeededGenerator(seed: 9)
            let prompts = (0..<2).map { _ in
                (0..<64).map { _ in Int(random.uniform() * Double(c.vocabularySize)) }
            }
            try compare(prompts, continuation: 0, wanted, shape, &results) {
                try Step1Model(configuration: c, source: source, precision: $0)
            }
        }
    }

    private func chatPrompts(_ folder: String) throws -> [[Int]] {
        let template = try ChatTemplate(tokenizer: UnigramTokenizer(directory: folder))
        return [
            "What is the capital of France?", "Hello. How are you?", "How many days are in a week?",
            "What is the opposite of hot?",
        ].map { template.ids([ChatTurn(role: "user", content: [.text($0)])]) }
    }

    /// Texts in the voice of the bundle's first speaker.
    private func speechPrompts(_ folder: String) async throws -> [[Int]] {
        let tokenizer = try UnigramTokenizer(directory: folder)
        let template = try SpeechPrompt(tokenizer: tokenizer, prompts: SystemPrompts())
        let speaker = try VoiceStore(locations: locations).speaker(nil)
        let clip = try AudioFile.read(path: speaker.promptAudio)
        let voice = try await StepAudio(locations: locations).encode(.clip(clip), trim: true)
        let voiceIDs = tokenizer.encode(voice.text, addDummyPrefix: false)
        return [
            "The capital of France is Paris.", "Good morning.", "I hope you slept well.",
            "The opposite of hot is cold.",
        ].map {
            template.ids(
                text: $0, speaker: speaker.id, promptText: speaker.promptText, promptIDs: voiceIDs)
        }
    }

    /// Logits at every place from which a token is drawn, and their comparison with those of fp32; without
    /// a continuation at every token.
    private func compare(
        _ prompts: [[Int]], continuation: Int, _ precisions: [WeightPrecision], _ shape: Shape,
        _ results: inout [BenchmarkReport.Result], _ load: (WeightPrecision) throws -> Step1Model
    ) throws {
        let reference = try load(.fp32)
        let sequences = prompts.map { Self.continued($0, by: continuation, reference) }
        func logits(_ model: Step1Model) -> [Tensor] {
            sequences.map { model.logits(model.hidden($0, cache: model.makeCache())) }
        }
        let expected = logits(reference)
        for precision in precisions {
            let model = try load(precision)
            let start = ContinuousClock.now
            let seen = logits(model)
            var result = result(.precision, shape, precision, times: [start.secondsUntilNow])
            let rows = zip(expected, seen).flatMap { wanted, found in
                let first = continuation > 0 ? wanted.rows - continuation - 1 : 0
                return (first..<wanted.rows).map {
                    LogitsDifference(wanted.row($0), found.row($0))
                }
            }
            let count = Double(rows.count)
            result.context = rows.count
            result.layers = model.configuration.layers
            result.layersOfShape = shape == .pocket ? model.configuration.layers : 32
            result.logitsCosine = rows.reduce(0) { $0 + $1.cosine } / count
            result.divergence = rows.reduce(0) { $0 + $1.divergence } / count
            result.greedyAgreement = Double(rows.count { $0.agrees }) / count
            results.append(result)
        }
    }

    /// A prompt and the tokens that the model finds most likely after it.
    private static func continued(_ prompt: [Int], by count: Int, _ model: Step1Model) -> [Int] {
        let cache = model.makeCache()
        var ids = prompt
        var hidden = model.hidden(prompt, cache: cache)
        for _ in 0..<count {
            let logits = model.logits(hidden.rows(hidden.rows - 1..<hidden.rows)).values
            guard let best = logits.indices.max(by: { logits[$0] < logits[$1] }) else { break }
            ids.append(best)
            hidden = model.hidden([best], cache: cache)
        }
        return ids
    }
}

/// The difference of two rows of logits.
struct LogitsDifference {
    /// Cosine of the angle between them, means taken off.
    let cosine: Double
    /// Kullback-Leibler divergence of the found distribution from the wanted one, in nats.
    let divergence: Double
    /// Whether both have the same largest value.
    let agrees: Bool

    init(_ wanted: [Float], _ found: [Float]) {
        func centred(_ row: [Float]) -> [Double] {
            let mean = row.reduce(0) { $0 + Double($1) } / Double(max(1, row.count))
            return row.map { Double($0) - mean }
        }
        let (a, b) = (centred(wanted), centred(found))
        func product(_ x: [Double], _ y: [Double]) -> Double {
            zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
        }
        cosine = product(a, b) / max(1e-300, (product(a, a) * product(b, b)).squareRoot())
        func logProbabilities(_ row: [Double]) -> [Double] {
            let top = row.max() ?? 0
            let total = top + log(row.reduce(0) { $0 + exp($1 - top) })
            return row.map { $0 - total }
        }
        let (p, q) = (logProbabilities(a), logProbabilities(b))
        divergence = zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
        func best(_ row: [Float]) -> Int? { row.indices.max { row[$0] < row[$1] } }
        agrees = best(wanted) == best(found)
    }
}

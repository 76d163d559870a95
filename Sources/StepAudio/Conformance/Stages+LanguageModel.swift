// The stages of the two language models.

import LanguageModel
import TensorCore

extension Conformance {
    static let languageModelStages: [String: Stage] = [
        "tts_lm.logits": { run, inputs in
            try logits(run.parts.speechLanguageModel().engine.model, inputs)
        },
        "chat_lm.logits": { run, inputs in
            try logits(run.parts.chatEngine().model, inputs)
        },
        "tts_lm.greedy": { run, inputs in
            try greedy(run.parts.speechLanguageModel().engine.model, inputs)
        },
        "chat_lm.greedy": { run, inputs in
            try greedy(run.parts.chatEngine().model, inputs)
        },
    ]

    private static func prompt(_ model: Step1Model, _ inputs: CaseInputs) throws -> [Int] {
        let ids = try inputs.integers("ids")
        guard !ids.isEmpty else { throw LanguageModelError.emptyPrompt }
        let size = model.configuration.vocabularySize
        if let bad = ids.first(where: { !(0..<size).contains($0) }) {
            throw LanguageModelError.badID(bad, vocabularySize: size)
        }
        guard ids.count <= model.configuration.maximumSequenceLength else {
            throw LanguageModelError.promptTooLong(
                tokens: ids.count, contextLength: model.configuration.maximumSequenceLength)
        }
        return ids
    }

    private static func logits(_ model: Step1Model, _ inputs: CaseInputs) throws -> [StageOutput] {
        let ids = try prompt(model, inputs)
        let hidden = model.hidden(ids, cache: model.makeCache())
        return [.matrix("logits", model.logits(hidden), .logits)]
    }

    private static func greedy(_ model: Step1Model, _ inputs: CaseInputs) throws -> [StageOutput] {
        var ids = try prompt(model, inputs)
        let count = try inputs.integer("count")
        let room = model.configuration.maximumSequenceLength - ids.count
        guard (0...room).contains(count) else { throw LanguageModelError.badLimit(count) }
        let cache = model.makeCache()
        var result: [Int] = []
        while result.count < count {
            let hidden = model.hidden(ids, cache: cache)
            let logits = model.logits(hidden.rows(hidden.rows - 1..<hidden.rows)).values
            var best = 0
            for index in logits.indices where logits[index] > logits[best] {
                best = index
            }
            result.append(best)
            ids = [best]
        }
        return [.ids("ids", result)]
    }
}

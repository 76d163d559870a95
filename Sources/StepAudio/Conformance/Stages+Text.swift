// The stages of text: vocabulary, prompts, sampling.

import Foundation
import LanguageModel
import LanguageModelInterface
import SpeechSynthesis
import SpeechTokenizer
import TensorCore

extension Conformance {
    static let textStages: [String: Stage] = [
        "text.encode": { run, inputs in
            let ids = try run.textTokenizer().encode(inputs.text("text"), addDummyPrefix: true)
            return [.ids("ids", ids)]
        },
        "text.decode": { run, inputs in
            [.text("text", try run.textTokenizer().decode(inputs.integers("ids")))]
        },
        "tts.prompt": { run, inputs in
            let prompt = try SpeechPrompt(
                tokenizer: run.parts.speechVocabulary(), prompts: SystemPrompts())
            let ids = try prompt.ids(
                text: inputs.text("text"), speaker: inputs.text("speaker"),
                promptText: inputs.text("prompt_text"), promptIDs: inputs.integers("prompt_ids"),
                trustsContent: true)
            return [.ids("ids", ids)]
        },
        "chat.prompt": { run, inputs in
            let data = Data(try inputs.text("messages").utf8)
            let messages = try JSONDecoder().decode([Message].self, from: data)
            let turns = try messages.map { try $0.conformanceTurn() }
            let template = try ChatTemplate(tokenizer: run.parts.chatVocabulary())
            return [
                .text("text", template.text(turns)),
                .ids("ids", template.ids(turns, trustsContent: true)),
            ]
        },
        "sampling.step": { _, inputs in
            let options = try SamplingOptions(
                temperature: inputs.float("temperature"), topP: inputs.float("top_p"),
                topK: inputs.integer("top_k"),
                repetitionRule: inputs.integer("repetition_rule") != 0)
            // Checks the options as a generation would.
            _ = try Sampler(options)
            let probabilities = try Sampler.probabilities(
                inputs.floats("logits"), history: inputs.integers("history"), options: options)
            guard let probabilities else { throw LanguageModelError.logitsNotFinite(position: 0) }
            return [.vector("probabilities", probabilities, .maximum(1e-5))]
        },
    ]

    /// The speech model's vocabulary, or the chat model's in a bundle without a speech model.
    func textTokenizer() throws -> UnigramTokenizer {
        do {
            return try parts.speechVocabulary()
        } catch {
            guard let chat = try? parts.chatVocabulary() else { throw error }
            return chat
        }
    }
}

extension Message {
    /// The turn as the template writes it; recordings must be token strings here.
    fileprivate func conformanceTurn() throws -> ChatTurn {
        ChatTurn(
            role: role,
            content: try content?.map { part in
                switch part {
                case .text(let text): return .text(text)
                case .audio(.tokens(let tokens)): return .audioTokens(tokens)
                case .audio:
                    throw ConformanceError.badInput(
                        "messages", seen: "a recording", accepted: "text and token strings")
                }
            })
    }
}

// How many tokens a prompt has, for those who report usage.

import LanguageModel
import TensorCore

extension StepAudio {
    /// Number of tokens of a conversation as the chat model reads it; recordings are encoded.
    public func promptTokenCount(_ messages: [Message]) async throws -> Int {
        let text = try await applyChatTemplate(messages)
        return try await ComputeThreads.run { [parts] in
            try parts.chatVocabulary().encode(text, addDummyPrefix: false).count
        }
    }

    /// Number of tokens of a text as the speech model reads it, without the voice's part of the prompt.
    public func speechTokenCount(_ text: String) async throws -> Int {
        try await ComputeThreads.run { [parts] in
            try parts.speechVocabulary().encodePlain(text, addDummyPrefix: false).count
        }
    }

    /// Largest prompt plus answer of the chat model, in tokens.
    public func chatContextLength() async throws -> Int {
        try await chatModel().engine.contextLength
    }
}

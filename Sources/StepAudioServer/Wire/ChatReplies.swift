// POST /v1/chat/completions as it goes over the wire: what is answered.

import Foundation

/// A whole answer.
struct ChatReply: Encodable, Sendable {
    var id: String
    var object = "chat.completion"
    var created: Int
    var model: String
    var choices: [Choice]
    var usage: ChatUsage
    var systemFingerprint: String
    var timings: WireTimings

    struct Choice: Encodable, Sendable {
        var index = 0
        var message: Message
        var finishReason: String
    }

    struct Message: Encodable, Sendable {
        var role = "assistant"
        var content: String?
        var audio: ChatAudio?

        // `content` and `refusal` are there even when they are null.
        private enum Key: String, CodingKey { case role, content, refusal, audio }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(role, forKey: .role)
            try container.encode(content, forKey: .content)
            try container.encodeNil(forKey: .refusal)
            try container.encodeIfPresent(audio, forKey: .audio)
        }
    }
}

/// The sound of an answer, or a piece of it.
struct ChatAudio: Encodable, Sendable {
    var id: String
    var expiresAt: Int?
    var data: String?
    var transcript: String?
}

/// A piece of a streamed answer.
struct ChatChunk: Encodable, Sendable {
    var id: String
    var object = "chat.completion.chunk"
    var created: Int
    var model: String
    var choices: [Choice]
    var usage: ChatUsage?
    var systemFingerprint: String
    var timings: WireTimings?

    struct Choice: Encodable, Sendable {
        var index = 0
        var delta: Delta
        var finishReason: String?

        private enum Key: String, CodingKey { case index, delta, finishReason }

        // The reason is there even while it is null.
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(index, forKey: .index)
            try container.encode(delta, forKey: .delta)
            try container.encode(finishReason, forKey: .finishReason)
        }
    }

    struct Delta: Encodable, Sendable {
        var role: String?
        var content: String?
        var audio: ChatAudio?
    }
}

/// Tokens that were read and written.
struct ChatUsage: Codable, Sendable {
    var promptTokens: Int
    var completionTokens: Int
    var totalTokens: Int
    var promptTokensDetails: PromptDetails
    var completionTokensDetails: CompletionDetails

    struct PromptDetails: Codable, Sendable {
        var audioTokens: Int
        var textTokens: Int
        var cachedTokens: Int
    }

    struct CompletionDetails: Codable, Sendable {
        var audioTokens: Int
        var textTokens: Int
        var reasoningTokens = 0
        var acceptedPredictionTokens = 0
        var rejectedPredictionTokens = 0
    }

    init(_ outcome: ChatOutcome) {
        let audio = outcome.speech?.audioTokens ?? 0
        promptTokens = outcome.promptTokens
        completionTokens = outcome.textTokens + audio
        totalTokens = promptTokens + completionTokens
        promptTokensDetails = PromptDetails(
            audioTokens: outcome.promptAudioTokens,
            textTokens: max(0, outcome.promptTokens - outcome.promptAudioTokens), cachedTokens: 0)
        completionTokensDetails = CompletionDetails(
            audioTokens: audio, textTokens: outcome.textTokens)
    }
}

// What realtime clients are sent, by OpenAI's current names.

import Foundation

/// Any event of the server; only the fields that belong to its type are written.
struct ServerEvent: Encodable, Sendable {
    var type: String
    var eventId = "event_" + ID.random()
    var session: WireSession?
    var previousItemId: PreviousItem?
    var itemId: String?
    var item: WireItem?
    var audioStartMs: Int?
    var audioEndMs: Int?
    var responseId: String?
    var outputIndex: Int?
    var contentIndex: Int?
    var part: WireItem.Content?
    var delta: String?
    var text: String?
    var transcript: String?
    var response: WireResponse?
    var error: WireError?

    init(_ type: String) {
        self.type = type
    }

    /// An event with some fields set.
    init(_ type: String, _ fill: (inout ServerEvent) -> Void) {
        self.type = type
        fill(&self)
    }

    struct WireError: Encodable, Sendable {
        var type: String
        var code: String?
        var message: String
        var param: String?
        var eventId: String?
    }
}

/// The item before another; null for the first.
struct PreviousItem: Encodable, Sendable {
    var id: String?

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let id { try container.encode(id) } else { try container.encodeNil() }
    }
}

/// A response as clients see it.
struct WireResponse: Encodable, Sendable {
    var id: String
    var object = "realtime.response"
    /// `in_progress`, `completed`, `cancelled`, `incomplete` or `failed`.
    var status: String
    var statusDetails: Details?
    var output: [WireItem]
    var conversationId: String?
    var outputModalities: [String]
    var maxOutputTokens: TokenLimit
    var usage: Usage?
    var timings: WireTimings?

    struct Details: Encodable, Sendable {
        var type: String
        var reason: String?
        var error: ServerEvent.WireError?
    }

    struct Usage: Encodable, Sendable {
        var totalTokens: Int
        var inputTokens: Int
        var outputTokens: Int
        var inputTokenDetails: Split
        var outputTokenDetails: Split

        struct Split: Encodable, Sendable {
            var textTokens: Int
            var audioTokens: Int
            var cachedTokens: Int?
        }

        init(_ outcome: ChatOutcome) {
            let usage = ChatUsage(outcome)
            totalTokens = usage.totalTokens
            inputTokens = usage.promptTokens
            outputTokens = usage.completionTokens
            inputTokenDetails = Split(
                textTokens: usage.promptTokensDetails.textTokens,
                audioTokens: usage.promptTokensDetails.audioTokens, cachedTokens: 0)
            outputTokenDetails = Split(
                textTokens: usage.completionTokensDetails.textTokens,
                audioTokens: usage.completionTokensDetails.audioTokens)
        }
    }
}

/// A session as clients see it.
struct WireSession: Encodable, Sendable {
    var type = "realtime"
    var object = "realtime.session"
    var id: String
    var model: String
    var outputModalities: [String]
    var instructions: String
    var maxOutputTokens: TokenLimit
    var tools: [String] = []
    var toolChoice = "none"
    var audio: Sound
    var stepAudio: RealtimeStyle

    struct Sound: Encodable, Sendable {
        var input: Input
        var output: Output
    }

    struct Input: Encodable, Sendable {
        var format = SessionPatch.Format(type: "audio/pcm", rate: 24_000)
        var turnDetection: Detection?

        private enum Key: String, CodingKey {
            case format, turnDetection, transcription, noiseReduction
        }

        // Null says that it is off.
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(format, forKey: .format)
            try container.encode(turnDetection, forKey: .turnDetection)
            try container.encodeNil(forKey: .transcription)
            try container.encodeNil(forKey: .noiseReduction)
        }
    }

    struct Output: Encodable, Sendable {
        var format = SessionPatch.Format(type: "audio/pcm", rate: 24_000)
        var voice: String
        var speed: Double
    }

    struct Detection: Encodable, Sendable {
        var type = "server_vad"
        var threshold: Double
        var prefixPaddingMs: Int
        var silenceDurationMs: Int
        var createResponse: Bool
        var interruptResponse: Bool
    }
}

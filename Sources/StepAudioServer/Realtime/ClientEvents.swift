// What realtime clients send, by OpenAI's current names.

import Foundation

/// A field that is absent, null, or there.
enum Patch<Value: Decodable & Sendable>: Sendable {
    case absent
    case null
    case value(Value)
}

extension KeyedDecodingContainer {
    func patch<Value>(_ type: Value.Type, forKey key: Key) throws -> Patch<Value> {
        guard contains(key) else { return .absent }
        return try decodeNil(forKey: key) ? .null : .value(decode(type, forKey: key))
    }
}

/// Any event of a client; which fields matter depends on `type`.
struct ClientEvent: Decodable, Sendable {
    var type: String
    var eventId: String?
    var session: SessionPatch?
    var audio: String?
    var item: WireItem?
    var previousItemId: String?
    var itemId: String?
    var contentIndex: Int?
    var audioEndMs: Int?
    var response: ResponseOrder?
    var responseId: String?
}

/// What a client changes of a session.
struct SessionPatch: Decodable, Sendable {
    var type: String?
    var outputModalities: [String]?
    var instructions: String?
    var maxOutputTokens: TokenLimit?
    var tools: [ChatRequest.Ignored]?
    var audio: AudioPatch?
    var stepAudio: RealtimeStyle?

    struct AudioPatch: Decodable, Sendable {
        var input: Input?
        var output: Output?
    }

    struct Input: Decodable, Sendable {
        var format: Format?
        var turnDetection: Patch<TurnDetection>
        var transcription: Patch<ChatRequest.Ignored>

        private enum Key: String, CodingKey { case format, turnDetection, transcription }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Key.self)
            format = try container.decodeIfPresent(Format.self, forKey: .format)
            turnDetection = try container.patch(TurnDetection.self, forKey: .turnDetection)
            transcription = try container.patch(
                ChatRequest.Ignored.self, forKey: .transcription)
        }
    }

    struct Output: Decodable, Sendable {
        var format: Format?
        var voice: VoiceReference?
        var speed: Double?
    }

    struct Format: Codable, Sendable, Equatable {
        var type: String
        var rate: Int?
    }

    struct TurnDetection: Decodable, Sendable {
        var type: String?
        var threshold: Double?
        var prefixPaddingMs: Int?
        var silenceDurationMs: Int?
        var createResponse: Bool?
        var interruptResponse: Bool?
    }
}

/// How answers are spoken, beyond what OpenAI's clients know, and how they are drawn.
struct RealtimeStyle: Codable, Sendable, Equatable {
    var emotion: String?
    var language: String?
    var pace: String?
    var volume: Double?
    var seed: UInt64?
    var temperature: Float?
}

/// A number of tokens, or `inf`.
enum TokenLimit: Codable, Sendable, Equatable {
    case unlimited
    case tokens(Int)

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let count = try? container.decode(Int.self), count > 0 {
            self = .tokens(count)
        } else if (try? container.decode(String.self)) == "inf" {
            self = .unlimited
        } else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "max_output_tokens is a whole number above 0, or \"inf\"")
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .unlimited: try container.encode("inf")
        case .tokens(let count): try container.encode(count)
        }
    }
}

/// What a client wants of one response.
struct ResponseOrder: Decodable, Sendable {
    var conversation: String?
    var outputModalities: [String]?
    var instructions: String?
    var maxOutputTokens: TokenLimit?
    var audio: SessionPatch.AudioPatch?
    var stepAudio: RealtimeStyle?
    var input: [WireItem]?
}

/// An item of a conversation.
struct WireItem: Codable, Sendable {
    var id: String?
    var object: String?
    var type: String
    var status: String?
    var role: String?
    var content: [Content]?

    struct Content: Codable, Sendable {
        var type: String
        var text: String?
        var audio: String?
        var transcript: String?
    }
}

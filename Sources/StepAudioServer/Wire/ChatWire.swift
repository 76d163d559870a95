// POST /v1/chat/completions as it goes over the wire: what is asked.

import Foundation

/// A conversation to be answered.
///
/// The field `stepAudio` is ours.
struct ChatRequest: Decodable, Sendable {
    var model: String
    var messages: [ChatMessage]
    var modalities: [String]?
    var audio: AudioOrder?
    var stream: Bool?
    var streamOptions: StreamOptions?
    var seed: UInt64?
    var stop: StopSequences?
    var maxTokens: Int?
    var maxCompletionTokens: Int?
    var temperature: Float?
    var topP: Float?
    var n: Int?
    var logprobs: Bool?
    var presencePenalty: Double?
    var frequencyPenalty: Double?
    var tools: [Ignored]?
    var responseFormat: TypedFormat?
    var stepAudio: StyleOrder?

    struct AudioOrder: Decodable, Sendable {
        var voice: VoiceReference
        var format: String
    }

    struct StreamOptions: Decodable, Sendable {
        var includeUsage: Bool?
    }

    struct TypedFormat: Decodable, Sendable {
        var type: String
    }

    /// Something whose presence alone matters.
    struct Ignored: Decodable, Sendable {}
}

/// How an answer is to be spoken, beyond what OpenAI's clients know.
struct StyleOrder: Codable, Sendable, Equatable {
    var emotion: String?
    var language: String?
    var pace: String?
    var speed: Double?
    var volume: Double?
    var sampleRate: Int?
}

/// One text or several at which an answer ends.
struct StopSequences: Decodable, Sendable {
    var texts: [String]

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            texts = [text]
        } else {
            texts = try container.decode([String].self)
        }
    }
}

/// A turn.
struct ChatMessage: Decodable, Sendable {
    var role: String
    var content: Content?
    var audio: Reference?

    /// An earlier spoken answer.
    struct Reference: Decodable, Sendable {
        var id: String
    }

    enum Content: Decodable, Sendable {
        case text(String)
        case parts([Part])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                self = .text(text)
            } else {
                self = .parts(try container.decode([Part].self))
            }
        }
    }

    struct Part: Decodable, Sendable {
        var type: String
        var text: String?
        var inputAudio: SoundData?
    }
}

/// A recording inside JSON.
struct SoundData: Codable, Sendable {
    /// Base64.
    var data: String
    var format: String?
}

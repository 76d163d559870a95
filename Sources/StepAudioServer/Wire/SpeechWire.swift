// POST /v1/audio/speech as it goes over the wire.

import Foundation
import StepAudio

/// A voice as a name or as an object with an id.
struct VoiceReference: Codable, Sendable, Equatable {
    var id: String

    init(id: String) {
        self.id = id
    }

    private struct Object: Codable {
        var id: String
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let name = try? container.decode(String.self) {
            id = name
        } else if let object = try? container.decode(Object.self) {
            id = object.id
        } else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "a voice is a name or {\"id\": name}")
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(id)
    }
}

/// What a client wants spoken, and how.
///
/// The fields from `sampleRate` on are ours.
struct SpeechRequest: Decodable, Sendable {
    var model: String
    var input: String
    var voice: VoiceReference
    var instructions: String?
    var responseFormat: String?
    var speed: Double?
    var streamFormat: String?
    var sampleRate: SampleRate?
    var emotion: String?
    var language: String?
    var pace: String?
    var style: String?
    var volume: Double?
    var temperature: Float?
    var seed: UInt64?
}

/// A sample rate in Hz, or `native`: the voice decoder's own.
enum SampleRate: Decodable, Sendable, Equatable {
    case native
    case hertz(Int)

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let accepted = 8000...48_000
        if let rate = try? container.decode(Int.self), accepted.contains(rate) {
            self = .hertz(rate)
        } else if (try? container.decode(String.self)) == "native" {
            self = .native
        } else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "sample_rate is a whole number of Hz from 8000 to 48000, or "
                    + "\"native\"")
        }
    }
}

/// An event of a stream of speech.
struct SpeechStreamEvent: Encodable, Sendable {
    var type: String
    var audio: String?
    var usage: Usage?
    var timings: WireTimings?
    var sampleRate: Int?

    struct Usage: Codable, Sendable {
        var inputTokens: Int
        var outputTokens: Int
        var totalTokens: Int
    }
}

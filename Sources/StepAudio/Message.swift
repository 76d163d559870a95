// Messages of a conversation as users write them, and their JSON form: the original controller's
// {"role": ..., "content": text | {"type": "text" | "audio", ...} | [parts] | null}.

import AudioSignal
import Foundation
import SpeechSynthesis

/// One turn of a conversation.
public struct Message: Sendable, Equatable {
    /// A piece of a turn's content.
    public enum Part: Sendable, Equatable {
        /// Plain text.
        case text(String)
        /// Sound.
        case audio(Sound)
    }

    /// Where the sound of a turn comes from.
    public enum Sound: Sendable, Equatable {
        /// A recording in a file.
        case file(String)
        /// Samples in memory.
        case clip(AudioClip)
        /// Tokens of a recording that was encoded before, as `<audio_N>` strings.
        case tokens(String)
    }

    /// `user`, `assistant`, `system` or another role, as the caller writes it.
    public var role: String
    /// The content in order; nil writes the turn's header only and leaves the turn open.
    public var content: [Part]?
    /// Emotion, language and pace of the turn.
    public var style: SpeechStyle

    /// A turn with any content.
    public init(role: String, content: [Part]?, style: SpeechStyle = SpeechStyle()) {
        self.role = role
        self.content = content
        self.style = style
    }

    /// A user's turn of text.
    public static func user(_ text: String) -> Message {
        Message(role: "user", content: [.text(text)])
    }

    /// A user's turn that is a recording.
    public static func user(audio file: String) -> Message {
        Message(role: "user", content: [.audio(.file(file))])
    }

    /// An assistant's turn.
    public static func assistant(_ text: String) -> Message {
        Message(role: "assistant", content: [.text(text)])
    }

    /// A system turn.
    public static func system(_ text: String) -> Message {
        Message(role: "system", content: [.text(text)])
    }
}

extension Message: Codable {
    private enum Key: String, CodingKey {
        case role, content, emotion, language, pace
    }

    private struct PartForm: Codable {
        var type: String
        var text: String?
        var audio: String?
        var tokens: String?

        func part(at path: [any CodingKey]) throws -> Part {
            func refuse(_ reason: String) -> DecodingError {
                .dataCorrupted(.init(codingPath: path, debugDescription: reason))
            }
            switch type {
            case "text":
                guard let text else { throw refuse("a text part needs the field text") }
                return .text(text)
            case "audio":
                if let tokens { return .audio(.tokens(tokens)) }
                guard let audio else {
                    throw refuse("an audio part needs the field audio (a file) or tokens")
                }
                return .audio(audio.hasPrefix("<audio_") ? .tokens(audio) : .file(audio))
            default: throw refuse("part type is '\(type)'; accepted: text, audio")
            }
        }

        init(_ part: Part) throws {
            switch part {
            case .text(let text): (type, self.text) = ("text", text)
            case .audio(.file(let path)): (type, audio) = ("audio", path)
            case .audio(.tokens(let tokens)): (type, self.tokens) = ("audio", tokens)
            case .audio(.clip):
                throw EncodingError.invalidValue(
                    "clip",
                    .init(codingPath: [], debugDescription: "samples in memory have no JSON form"))
            }
        }
    }

    /// Reads the JSON form.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        role = try container.decode(String.self, forKey: .role)
        style = try SpeechStyle(
            emotion: container.decodeIfPresent(String.self, forKey: .emotion),
            language: container.decodeIfPresent(String.self, forKey: .language),
            pace: container.decodeIfPresent(String.self, forKey: .pace))
        if try !container.contains(.content) || container.decodeNil(forKey: .content) {
            content = nil
        } else if let text = try? container.decode(String.self, forKey: .content) {
            content = [.text(text)]
        } else if let part = try? container.decode(PartForm.self, forKey: .content) {
            content = [try part.part(at: container.codingPath + [Key.content])]
        } else {
            content = try container.decode([PartForm].self, forKey: .content).map {
                try $0.part(at: container.codingPath + [Key.content])
            }
        }
    }

    /// Writes the JSON form.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(role, forKey: .role)
        try container.encodeIfPresent(style.emotion, forKey: .emotion)
        try container.encodeIfPresent(style.language, forKey: .language)
        try container.encodeIfPresent(style.pace, forKey: .pace)
        switch content {
        case nil: try container.encodeNil(forKey: .content)
        case .some(let parts):
            if parts.count == 1, case .text(let text) = parts[0] {
                try container.encode(text, forKey: .content)
            } else {
                try container.encode(parts.map { try PartForm($0) }, forKey: .content)
            }
        }
    }
}

// A conversation with history, kept in memory and in a JSON file.

import Foundation

/// What becomes of an audio turn once it has been answered.
public enum AudioHistory: String, Sendable, Codable, CaseIterable {
    /// The turn stays as its audio tokens: the model hears it again.
    case tokens
    /// The turn is replaced by a text, as the original web page does with its transcript.
    case text
}

/// The turns so far.
public struct Conversation: Sendable, Equatable, Codable {
    /// Turns in order.
    public var messages: [Message]

    private enum CodingKeys: CodingKey { case messages }

    /// Starts a conversation, with a system turn when one is given.
    public init(system: String? = nil) {
        messages = system.map { [.system($0)] } ?? []
    }

    /// Reads `{"messages": [...]}`, or the list of messages alone.
    public init(from decoder: any Decoder) throws {
        if (try? decoder.unkeyedContainer()) != nil {
            messages = try decoder.singleValueContainer().decode([Message].self)
        } else {
            messages = try decoder.container(keyedBy: CodingKeys.self)
                .decode([Message].self, forKey: .messages)
        }
    }

    /// Reads a conversation; an error names the file.
    public init(contentsOf path: String) throws(StepAudioError) {
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            self = try JSONDecoder().decode(Conversation.self, from: data)
        } catch {
            throw .conversationUnreadable(path: path, reason: Self.explain(error))
        }
    }

    /// Writes the conversation; the file is replaced in one step.
    public func write(to path: String) throws(StepAudioError) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try encoder.encode(self).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw .conversationUnwritable(path: path, reason: Self.explain(error))
        }
    }

    /// Replaces the last audio turn's sound by a text.
    public mutating func replaceLastAudio(by text: String) {
        let index = messages.lastIndex { message in
            message.content?.contains { if case .audio = $0 { true } else { false } } ?? false
        }
        guard let index else { return }
        var replaced = false
        messages[index].content = messages[index].content?.compactMap { part in
            guard case .audio = part else { return part }
            defer { replaced = true }
            return replaced ? nil : .text(text)
        }
    }

    private static func explain(_ error: any Error) -> String {
        switch error {
        case DecodingError.dataCorrupted(let context):
            return context.debugDescription
        case DecodingError.keyNotFound(let key, _):
            return "the field \(key.stringValue) is missing"
        case DecodingError.typeMismatch(_, let context):
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            return "\(path): \(context.debugDescription)"
        default: return (error as NSError).localizedDescription
        }
    }
}

// The turns of a realtime conversation as the session keeps them.

import Foundation
import StepAudio

/// A turn.
struct ConversationItem: Sendable {
    enum Content: Sendable {
        /// Typed, by a user or as a system turn.
        case text(String)
        /// A user's recording; its tokens may still be on their way.
        case recording(Task<EncodedAudio, any Error>)
        /// An answer in text.
        case answer(String)
        /// A spoken answer.
        case spoken(SpokenAnswer)
    }

    var id: String
    var role: String
    var content: Content
    var isComplete = true

    /// The turn as clients see it.
    var wire: WireItem {
        let part: WireItem.Content =
            switch content {
            case .text(let text): .init(type: "input_text", text: text)
            case .recording: .init(type: "input_audio")
            case .answer(let text): .init(type: "output_text", text: text)
            case .spoken(let answer): .init(type: "output_audio", transcript: answer.text)
            }
        return WireItem(
            id: id, object: "realtime.item", type: "message",
            status: isComplete ? "completed" : "incomplete", role: role, content: [part])
    }

    /// The turn as the chat model reads it; nil when nothing is left of it.
    func message(_ backend: Backend) async throws -> (message: Message, audioTokens: Int)? {
        switch content {
        case .text(let text), .answer(let text):
            return (Message(role: role, content: [.text(text)]), 0)
        case .recording(let tokens):
            let encoded = try await tokens.value
            return (
                Message(role: role, content: [.audio(.tokens(encoded.text))]), encoded.ids.count
            )
        case .spoken(let answer):
            guard answer.text.contains(where: { !$0.isWhitespace }) else { return nil }
            return (Message(role: role, content: [.text(answer.text)]), 0)
        }
    }
}

/// What was said, and when each sentence of it was over.
package struct SpokenAnswer: Sendable, Equatable {
    private struct Sentence: Equatable {
        var number: Int
        var text: String
        var end: Double  // milliseconds
        var isWhole: Bool
    }

    /// The text so far.
    package private(set) var text = ""
    /// Length of the sound so far, in milliseconds.
    package private(set) var milliseconds = 0.0
    private var sentences: [Sentence] = []

    package init() {}

    /// The next words.
    package mutating func append(text more: String) {
        text += more
    }

    /// The next sound.
    package mutating func append(_ chunk: SpeechChunk) {
        milliseconds += chunk.seconds * 1000
        if sentences.last?.number != chunk.sentence {
            sentences.append(
                Sentence(number: chunk.sentence, text: chunk.text, end: 0, isWhole: false))
        }
        let last = sentences.count - 1
        sentences[last].end = milliseconds
        sentences[last].isWhole = chunk.endsSentence
    }

    /// Keeps what can have been heard up to a time: whole sentences, then words by their share of the
    /// sentence's letters.
    package mutating func truncate(toMilliseconds end: Int) {
        let end = Double(max(0, end))
        guard end < milliseconds || sentences.last?.isWhole == false else { return }
        // The sentences stay, so that a later word of the client's can cut more finely.
        var heard: [String] = []
        var start = 0.0
        for sentence in sentences {
            if sentence.isWhole, sentence.end <= end {
                heard.append(sentence.text.trimmingCharacters(in: .whitespaces))
            } else if start < end {
                // A sentence that is still being made is taken to last 70 ms a letter.
                let length =
                    sentence.isWhole
                    ? sentence.end - start
                    : max(sentence.end - start, 70 * Double(sentence.text.count))
                heard.append(Self.words(of: sentence.text, share: (end - start) / max(1, length)))
            }
            start = sentence.end
        }
        text = heard.filter { !$0.isEmpty }.joined(separator: " ")
    }

    private static func words(of text: String, share: Double) -> String {
        let limit = Int(share * Double(text.count))
        var kept = ""
        for word in text.split(separator: " ") {
            let next = kept.isEmpty ? String(word) : kept + " " + word
            guard next.count <= limit else { break }
            kept = next
        }
        return kept
    }
}

// Step-Audio-Chat's prompt: `<|BOT|>role\ncontent<|EOT|>` a turn, then an open assistant turn.
// Source: stepfun-ai/Step-Audio, stepaudio.py, apply_chat_template.

import LanguageModelInterface

/// One turn as the template writes it.
public struct ChatTurn: Sendable, Equatable {
    /// A piece of a turn's content.
    public enum Content: Sendable, Equatable {
        /// Text; control tokens that stand in it are spelled out, audio tokens are recognised.
        case text(String)
        /// `<audio_N>` tokens.
        case audioTokens(String)
    }

    /// The role as the caller names it; `user` is written `human`.
    public var role: String
    /// The content in order; nil writes the header only.
    public var content: [Content]?

    /// Makes a turn.
    public init(role: String, content: [Content]?) {
        self.role = role
        self.content = content
    }
}

/// Builds chat prompts.
public struct ChatTemplate: Sendable {
    private let tokenizer: any TextTokenizer
    private let beginOfTurn: Int
    /// The id that ends a turn, and an answer.
    public let endOfTurn: Int

    /// Looks the turn marks up in a vocabulary.
    public init(tokenizer: any TextTokenizer) throws(LanguageModelError) {
        guard let begin = tokenizer.id(ofPiece: "<|BOT|>") else { throw .pieceMissing("<|BOT|>") }
        guard let end = tokenizer.id(ofPiece: "<|EOT|>") else { throw .pieceMissing("<|EOT|>") }
        self.tokenizer = tokenizer
        beginOfTurn = begin
        endOfTurn = end
    }

    private static let assistantHeader = "<|BOT|>assistant\n"

    /// The prompt as text.
    public func text(_ turns: [ChatTurn]) -> String {
        var result = ""
        for turn in turns {
            result += "<|BOT|>\(Self.written(turn.role))\n"
            for content in turn.content ?? [] {
                switch content {
                case .text(let text), .audioTokens(let text): result += text
                }
            }
            if turn.content != nil {
                result += "<|EOT|>"
            }
        }
        return result.hasSuffix(Self.assistantHeader) ? result : result + Self.assistantHeader
    }

    /// The ids of the prompt, begin-of-sequence id included where the vocabulary asks for it.
    ///
    /// For content without control tokens they equal the ids of the prompt's text as a whole. With
    /// `trustsContent` control tokens in the content are recognised as well, as in the original.
    public func ids(_ turns: [ChatTurn], trustsContent: Bool = false) -> [Int] {
        let start = tokenizer.addsBOS ? [tokenizer.bosID] : []
        if trustsContent {
            return start + tokenizer.encode(text(turns), addDummyPrefix: true)
        }
        var ids = start
        var section = ""
        func close() {
            ids += tokenizer.encodePlain(section, addDummyPrefix: false)
            section = ""
        }
        func append(_ text: String) {
            var rest = text[...]
            while let open = rest.range(of: "<audio_") {
                let digits = rest[open.upperBound...].prefix { $0.isASCII && $0.isNumber }
                let behind = rest[open.upperBound...].dropFirst(digits.count)
                let token = "<audio_\(digits)>"
                if behind.first == ">", let id = tokenizer.id(ofPiece: token) {
                    section += rest[..<open.lowerBound]
                    close()
                    ids.append(id)
                    rest = behind.dropFirst()
                } else {
                    section += rest[..<open.upperBound]
                    rest = rest[open.upperBound...]
                }
            }
            section += rest
        }
        func openTurn(_ role: String) {
            close()
            ids.append(beginOfTurn)
            section = Self.written(role) + "\n"
        }
        for turn in turns {
            openTurn(turn.role)
            for content in turn.content ?? [] {
                switch content {
                case .text(let text), .audioTokens(let text): append(text)
                }
            }
            if turn.content != nil {
                close()
                ids.append(endOfTurn)
            }
        }
        let isOpen = turns.last.map { $0.content == nil && $0.role == "assistant" } ?? false
        if !isOpen {
            openTurn("assistant")
        }
        close()
        return ids
    }

    private static func written(_ role: String) -> String {
        role == "user" ? "human" : role
    }
}

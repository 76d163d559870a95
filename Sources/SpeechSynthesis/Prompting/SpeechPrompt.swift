// The prompt of the speech language model: system prompt, then the voice as a question with its text
// and an answer of audio tokens, then the text to speak. Source: stepfun-ai/Step-Audio, tts.py,
// tokenize.

import LanguageModelInterface

/// Builds prompts of the speech language model.
public struct SpeechPrompt: Sendable {
    private let tokenizer: any TextTokenizer
    private let prompts: SystemPrompts
    private let beginOfTurn: Int
    /// The id that ends a turn, and the speech.
    public let endOfTurn: Int

    /// Looks the turn marks up in a vocabulary.
    public init(tokenizer: any TextTokenizer, prompts: SystemPrompts) throws(SpeechSynthesisError) {
        guard let begin = tokenizer.id(ofPiece: "<|BOT|>") else { throw .pieceMissing("<|BOT|>") }
        guard let end = tokenizer.id(ofPiece: "<|EOT|>") else { throw .pieceMissing("<|EOT|>") }
        self.tokenizer = tokenizer
        self.prompts = prompts
        beginOfTurn = begin
        endOfTurn = end
    }

    /// The ids of a prompt.
    ///
    /// - Parameters:
    ///   - text: what to speak, leading tags included.
    ///   - speaker: the speaker's name; empty for a cloned voice.
    ///   - promptText: what the voice's recording says.
    ///   - promptIDs: the recording's audio tokens as language-model ids.
    ///   - trustsContent: whether control tokens in the texts are recognised, as in the original,
    ///     or spelled out.
    /// - Returns: ids from the begin-of-sequence id to the open turn of the answer.
    public func ids(
        text: String, speaker: String, promptText: String, promptIDs: [Int],
        trustsContent: Bool = false
    ) -> [Int] {
        func turn(_ content: [Int]) -> [Int] { [beginOfTurn] + content + [endOfTurn] }
        let question = fragment("human\n")
        let answer = fragment("assistant\n")
        let system = fragment("system\n" + prompts.prompt(text: text, speaker: speaker))
        func content(_ text: String) -> [Int] { self.content(text, trusted: trustsContent) }
        return [tokenizer.bosID] + turn(system) + turn(question + content(promptText))
            + turn(answer + promptIDs) + turn(question + content(text)) + [beginOfTurn] + answer
    }

    /// A fragment that the original encodes on its own, begin-of-sequence id included.
    private func fragment(_ text: String) -> [Int] {
        (tokenizer.addsBOS ? [tokenizer.bosID] : [])
            + tokenizer.encode(text, addDummyPrefix: true)
    }

    /// Text without a word-start mark: encoded behind a line break whose ids are taken off.
    private func content(_ text: String, trusted: Bool) -> [Int] {
        func encode(_ text: String) -> [Int] {
            trusted
                ? tokenizer.encode(text, addDummyPrefix: true)
                : tokenizer.encodePlain(text, addDummyPrefix: true)
        }
        return Array(encode("\n" + text).dropFirst(encode("\n").count))
    }
}

// `stepaudio chat`: one question, or a conversation when no question is given on a terminal.

import ArgumentParser
import Foundation
import StepAudio

/// Asks the chat model and speaks its answer.
struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "Ask by text or by recording; read and hear the answer.",
        discussion: """
            Without TEXT and --audio a conversation starts: type questions, \
            `/audio FILE` asks with a recording, `/quit` or Ctrl-D ends. Piped standard input is \
            read as one question.
            """)

    @Argument(help: "The question.")
    var text: String?

    @Option(help: "A recording of the question ('-' reads standard input).")
    var audio: String?

    @Option(help: "System prompt.")
    var system: String?

    @Option(help: "JSON file that keeps the conversation; made when it does not exist.")
    var conversation: String?

    @Option(help: "Keep answered audio turns as: tokens or text (default tokens).")
    var history: String?

    @Option(
        parsing: .unconditional,
        help: "Softmax temperature of the chat model (default 0.7; 0 is greedy).")
    var temperature: Float?

    @Option(parsing: .unconditional, help: "Nucleus mass of the chat model (default 0.9).")
    var topP: Float?

    @Option(parsing: .unconditional, help: "Largest number of answer tokens (default 2048).")
    var maxTokens: Int?

    @Flag(
        help: """
            Print the answer's text and give its speech out while they are made: to the system's \
            player, or to where -o says ('-' for a pipe).
            """)
    var stream = false

    @OptionGroup var speech: SpeechSettings
    @OptionGroup var model: ModelSettings

    func run() async throws {
        let settings = try model.resolved()
        let question = try firstQuestion()
        var options = ChatOptions()
        options.sampling.seed = settings.seed
        options.sampling.temperature =
            try temperature ?? Environment.value("TEMPERATURE", as: Float.self)
            ?? options.sampling.temperature
        options.sampling.topP =
            try topP ?? Environment.value("TOP_P", as: Float.self) ?? options.sampling.topP
        options.maximumNewTokens =
            try maxTokens ?? Environment.value("MAX_TOKENS", as: Int.self)
            ?? options.maximumNewTokens
        options.speech = try speech.resolved(seed: settings.seed)
        try SpeechSettings.check { try options.validate() }
        try SpeechSettings.check { try options.speech.validate() }
        let file = conversation ?? Environment.value("CONVERSATION")
        let policyName = history ?? Environment.value("HISTORY") ?? AudioHistory.tokens.rawValue
        guard let policy = AudioHistory(rawValue: policyName) else {
            throw ValidationError("history is '\(policyName)'; accepted: tokens, text")
        }
        var talk = try startConversation(file: file)
        let streams = try stream || Environment.flag("STREAM")
        let session = Session(settings: settings, streams: streams)
        let target = try speech.target(streams: streams, json: settings.json)
        if let question {
            try await session.ask(
                question, in: &talk, policy: policy, options: options, target: target)
            if let file { try talk.write(to: file) }
            return
        }
        Console.note("Type a question; `/audio FILE` asks with a recording, `/quit` ends.")
        var turn = 0
        while let message = nextQuestion() {
            turn += 1
            do {
                try await session.ask(
                    message, in: &talk, policy: policy, options: options,
                    target: target.map { Self.numbered($0, turn) })
                if let file { try talk.write(to: file) }
            } catch let error as StepAudioError {
                try Task.checkCancellation()
                Console.note("error: \(error)")
            }
        }
    }

    private func firstQuestion() throws -> Message? {
        if text != nil, audio != nil {
            throw ValidationError("give the question as TEXT or as --audio, not both")
        }
        if let audio { return .user(audio: audio) }
        if let text { return .user(text) }
        if let audio = Environment.value("AUDIO") { return .user(audio: audio) }
        if Console.inputIsTerminal { return nil }
        let piped = String(
            decoding: try FileHandle.standardInput.readToEnd() ?? Data(), as: UTF8.self
        ).trimmingCharacters(in: .whitespacesAndNewlines)
        guard !piped.isEmpty else {
            throw ValidationError("there is no question: give TEXT, --audio or standard input")
        }
        return .user(piped)
    }

    private func nextQuestion() -> Message? {
        while true {
            guard let typed = Console.ask("> ") else { return nil }
            let line = typed.trimmingCharacters(in: .whitespaces)
            if line == "/quit" { return nil }
            if line.hasPrefix("/audio ") {
                return .user(audio: String(line.dropFirst("/audio ".count)))
            }
            if !line.isEmpty { return .user(line) }
        }
    }

    private func startConversation(file: String?) throws -> Conversation {
        if let file, FileManager.default.fileExists(atPath: file) {
            return try Conversation(contentsOf: file)
        }
        return Conversation(system: system ?? Environment.value("SYSTEM"))
    }

    /// The target of one turn: files get its number.
    static func numbered(_ target: SoundTarget, _ turn: Int) -> SoundTarget {
        guard case .path(let path, let format) = target, path != "-" else { return target }
        return .path(numbered(path, turn), format)
    }

    static func numbered(_ path: String, _ turn: Int) -> String {
        let url = URL(fileURLWithPath: path)
        let name = url.deletingPathExtension().lastPathComponent
        return url.deletingLastPathComponent().appendingPathComponent(
            "\(name)-\(turn).\(url.pathExtension.isEmpty ? "wav" : url.pathExtension)"
        ).path
    }
}

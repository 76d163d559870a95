// `stepaudio say`: text to speech.

import ArgumentParser
import Foundation
import StepAudio

/// Speaks a text in a speaker's or a cloned voice.
struct SayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "say", abstract: "Speak a text in a chosen or cloned voice.")

    @Argument(help: "The text ('-' reads standard input).")
    var text: String

    @Option(help: "A recording of the voice to clone.")
    var promptAudio: String?

    @Option(help: "What the recording says.")
    var promptText: String?

    @Option(help: "RAP or 哼唱 (humming); needs the Music checkpoint.")
    var style: String?

    @Flag(
        help: """
            Give the speech out while it is made: to the system's player, or to where -o says ('-' \
            for a pipe).
            """)
    var stream = false

    @OptionGroup var speech: SpeechSettings
    @OptionGroup var model: ModelSettings

    func run() async throws {
        let settings = try model.resolved()
        let streams = try stream || Environment.flag("STREAM")
        guard let target = try speech.target(streams: streams, json: settings.json) else {
            throw ValidationError(
                streams
                    ? "no player was found (\(SystemPlayer.names)); give --player or -o"
                    : "where should the speech go? Give -o OUT.wav")
        }
        var options = try speech.resolved(seed: settings.seed)
        options.vocalStyle = style ?? Environment.value("STYLE")
        try SpeechSettings.check { try options.validate() }
        switch (
            promptAudio ?? Environment.value("PROMPT_AUDIO"),
            promptText ?? Environment.value("PROMPT_TEXT")
        )
        {
        case (nil, nil): break
        case (let audio?, let text?):
            guard speech.speaker == nil else {
                throw ValidationError("give --speaker or --prompt-audio, not both")
            }
            options.clone = VoicePrompt(audio: .file(audio), text: text)
        default:
            throw ValidationError("--prompt-audio and --prompt-text belong together")
        }
        let session = Session(settings: settings)
        let spoken = text == "-" ? try readStandardInput() : text
        let result =
            try await streams
            ? session.stream(spoken, options: options, to: target)
            : session.system.say(spoken, options: options)
        if !streams { try await session.write(result.speech, to: target) }
        try session.report(speech: result.speech, timings: result.timings, output: target.path)
    }

    private func readStandardInput() throws -> String {
        String(decoding: try FileHandle.standardInput.readToEnd() ?? Data(), as: UTF8.self)
    }
}

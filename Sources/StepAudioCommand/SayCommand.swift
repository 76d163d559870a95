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

    @OptionGroup var speech: SpeechSettings
    @OptionGroup var model: ModelSettings

    func run() async throws {
        let settings = try model.resolved()
        guard let output = speech.resolvedOutput else {
            throw ValidationError("where should the speech go? Give -o OUT.wav")
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
        let result = try await session.system.say(spoken, options: options)
        try await session.report(speech: result.speech, timings: result.timings, output: output)
    }

    private func readStandardInput() throws -> String {
        String(decoding: try FileHandle.standardInput.readToEnd() ?? Data(), as: UTF8.self)
    }
}

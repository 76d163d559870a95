// `stepaudio encode` and `stepaudio decode`: recordings to audio tokens and back.

import ArgumentParser
import Foundation
import StepAudio

/// Turns a recording into audio tokens.
struct EncodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "encode", abstract: "Turn a recording into <audio_N> tokens.")

    @Argument(help: "The recording ('-' reads a WAV file from standard input).")
    var input: String

    @Flag(help: "Trim silence, as is done for voice prompts.")
    var trim = false

    @OptionGroup var model: ModelSettings

    private struct Report: Encodable {
        var tokens: String
        var ids: [Int]
        var linguistic: [Int]
        var semantic: [Int]
        var seconds: Double
        var realTimeFactor: Double
        var timings: Timings
        var memory: MemoryReport

        enum CodingKeys: String, CodingKey {
            case tokens, ids, linguistic, semantic, seconds, timings, memory
            case realTimeFactor = "real_time_factor"
        }
    }

    func run() async throws {
        let settings = try model.resolved()
        let session = Session(settings: settings)
        let result = try await session.system.encode(
            .file(input), trim: try trim || Environment.flag("TRIM"))
        session.bar.clear()
        try result.requireTokens(of: .file(input))
        guard settings.json else {
            Console.print(result.text)
            return
        }
        try Console.printJSON(
            Report(
                tokens: result.text, ids: result.ids, linguistic: result.linguistic,
                semantic: result.semantic, seconds: result.seconds,
                realTimeFactor: result.timings.total / max(result.seconds, 1e-9),
                timings: result.timings,
                memory: session.memory()))
    }
}

/// Turns audio tokens into speech.
struct DecodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode", abstract: "Turn <audio_N> tokens into speech.")

    @Argument(help: "The token string ('-' or nothing reads standard input).")
    var tokens: String = "-"

    @OptionGroup var speech: SpeechSettings
    @OptionGroup var model: ModelSettings

    func run() async throws {
        let settings = try model.resolved()
        guard let target = try speech.target(streams: false, json: settings.json) else {
            throw ValidationError("where should the speech go? Give -o OUT.wav")
        }
        let options = try speech.resolved(seed: settings.seed)
        try SpeechSettings.check { try options.validate() }
        let session = Session(settings: settings)
        var text = tokens
        if tokens == "-" {
            text = String(
                decoding: try FileHandle.standardInput.readToEnd() ?? Data(), as: UTF8.self)
        }
        let result = try await session.system.decode(text, options: options)
        try await session.write(result.speech, to: target)
        try session.report(speech: result.speech, timings: result.timings, output: target.path)
    }
}

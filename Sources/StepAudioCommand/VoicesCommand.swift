// `stepaudio voices`: list, add and remove speakers.

import ArgumentParser
import Foundation
import StepAudio

/// Lists speakers; its own verbs add and remove them.
struct VoicesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "voices", abstract: "List, add or remove speakers.",
        subcommands: [ListVoices.self, AddVoice.self, RemoveVoice.self],
        defaultSubcommand: ListVoices.self)
}

/// Lists the speakers of the bundle and the user's own.
struct ListVoices: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the speakers.")

    @OptionGroup var model: ModelSettings

    func run() async throws {
        let settings = try model.resolved()
        let voices = try VoiceStore(locations: settings.locations)
        if settings.json {
            try Console.printJSON(voices.speakers)
        } else if voices.speakers.isEmpty {
            Console.note("no speakers; add one with `stepaudio voices add`")
        } else {
            for speaker in voices.speakers {
                Console.print("\(speaker.id)\t\(speaker.promptText)")
            }
        }
    }
}

/// Adds a speaker from a recording and what it says.
struct AddVoice: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add a speaker from a recording of 1 to 30 seconds.")

    @Argument(help: "Id of the speaker.")
    var id: String

    @Option(help: "The recording.")
    var audio: String

    @Option(help: "What the recording says.")
    var text: String

    @OptionGroup var model: ModelSettings

    func run() async throws {
        var voices = try VoiceStore(locations: try model.resolved().locations)
        let path = try voices.add(id: id, audio: audio, text: text)
        Console.note("added \(id) in \(path)")
    }
}

/// Removes one of the user's own speakers.
struct RemoveVoice: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove a speaker that was added.")

    @Argument(help: "Id of the speaker.")
    var id: String

    @OptionGroup var model: ModelSettings

    func run() async throws {
        var voices = try VoiceStore(locations: try model.resolved().locations)
        try voices.remove(id: id)
        Console.note("removed \(id)")
    }
}

// The voices that requests may name. One actor, so that uploads at the same time do not overwrite each
// other's list.

import AudioSignal
import Foundation
import StepAudio

/// The bundle's voices and those that were uploaded.
actor VoiceLibrary {
    /// A voice as clients see it.
    struct Voice: Sendable {
        var id: String
        var isBundled: Bool
        var transcript: String
        var path: String
    }

    private let locations: ModelLocations
    private let userDirectory: String

    init(locations: ModelLocations, userDirectory: String) {
        self.locations = locations
        self.userDirectory = userDirectory
    }

    /// All voices, the default one first.
    func voices() throws -> [Voice] {
        let own = userDirectory + "/"
        return try store().speakers.map { speaker in
            Voice(
                id: speaker.id, isBundled: !speaker.promptAudio.hasPrefix(own),
                transcript: speaker.promptText, path: speaker.promptAudio)
        }
    }

    /// The speaker behind a voice's name; nil is the bundle's first.
    func speaker(named name: String?) throws -> String? {
        guard let name, name != "default" else { return nil }
        let known = try voices().map(\.id)
        guard known.contains(name) else {
            throw APIError.invalid(
                "there is no voice '\(name)'; known voices: "
                    + (["default"] + known).joined(separator: ", "),
                param: "voice", code: "voice_not_found")
        }
        return name
    }

    /// Keeps a recording as a voice.
    func add(id: String, clip: AudioClip, transcript: String) throws {
        if try voices().contains(where: { $0.id == id && $0.isBundled }) || id == "default" {
            throw APIError.invalid(
                "the voice '\(id)' belongs to the bundle; choose another name", param: "name")
        }
        try Self.check(clip)
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("stepaudio-voice-\(ID.random()).wav").path
        try AudioClip(mono: clip.mono(), sampleRate: clip.sampleRate).writeWAV(to: file)
        defer { try? FileManager.default.removeItem(atPath: file) }
        var store = try store()
        do {
            _ = try store.add(id: id, audio: file, text: transcript)
        } catch {
            throw Self.explain(error)
        }
    }

    /// The store's error by the names of the form's fields.
    private static func explain(_ error: StepAudioError) -> APIError {
        switch error {
        case .audioUnusable(_, let reason):
            .invalid("the recording cannot be used: \(reason)", param: "audio_sample")
        case .badOption(_, let value, let accepted):
            .invalid("name is \(value); accepted: \(accepted)", param: "name")
        case .emptyInput: .invalid("the transcript is empty", param: "transcript")
        default: APIError(error)
        }
    }

    /// Removes an uploaded voice.
    func remove(id: String) throws {
        let voices = try voices()
        guard let voice = voices.first(where: { $0.id == id }) else {
            throw APIError.notFound(
                "there is no voice '\(id)'; uploaded voices: "
                    + voices.filter { !$0.isBundled }.map(\.id).joined(separator: ", "),
                param: "voice", code: "voice_not_found")
        }
        guard !voice.isBundled else {
            throw APIError.invalid("the voice '\(id)' belongs to the bundle", param: "voice")
        }
        var store = try store()
        try store.remove(id: id)
    }

    /// Refuses a recording that is too short or long, or in which hardly anyone speaks; clipping is
    /// checked by the store.
    private static func check(_ clip: AudioClip) throws {
        guard (1...30).contains(clip.duration) else {
            throw APIError.invalid(
                "the recording cannot be used: it lasts \((clip.duration * 100).rounded() / 100) s; "
                    + "accepted: 1 to 30 s", param: "audio_sample")
        }
        let samples = clip.mono(atRate: 16_000)
        let level = Level.rootMeanSquare(samples)
        guard level >= 0.003 else {
            throw APIError.invalid(
                "the recording cannot be used: its level is \(decibels(level)) dB; "
                    + "a voice needs at least -50 dB", param: "audio_sample")
        }
        let frame = 320
        let floor = level * 0.1
        let frames = stride(from: 0, to: samples.count - frame, by: frame).map { start in
            Level.rootMeanSquare(Array(samples[start..<start + frame]))
        }
        let loud = frames.count { $0 > floor }
        guard loud * 5 >= frames.count else {
            throw APIError.invalid(
                "the recording cannot be used: \(100 - 100 * loud / max(1, frames.count)) % of it "
                    + "is silence; at most 80 % is accepted", param: "audio_sample")
        }
    }

    private static func decibels(_ level: Double) -> Int {
        Int((20 * log10(max(level, 1e-9))).rounded())
    }

    private func store() throws -> VoiceStore {
        try VoiceStore(locations: locations, userDirectory: userDirectory)
    }
}

// GET, POST and DELETE /v1/audio/voices: the voices, adding one by a recording, removing it.

import Foundation
import Hummingbird
import StepAudio

/// A voice as clients see it.
struct WireVoice: Codable, Sendable, Equatable {
    var id: String
    var object = "audio.voice"
    var name: String
    /// `bundle` or `user`.
    var origin: String
    var transcript: String
    /// Whether it speaks when nobody names a voice.
    var isDefault: Bool

    init(_ voice: VoiceLibrary.Voice, isDefault: Bool) {
        id = voice.id
        name = voice.id
        origin = voice.isBundled ? "bundle" : "user"
        transcript = voice.transcript
        self.isDefault = isDefault
    }
}

/// A list of things.
struct WireList<Element: Codable & Sendable>: Codable, Sendable {
    var object = "list"
    var data: [Element]
}

/// Something was removed.
struct WireDeletion: Codable, Sendable {
    var id: String
    var object = "audio.voice.deleted"
    var deleted = true
}

extension Backend {
    /// All voices, and the tags that go with them.
    func listVoices(_ request: Request, _ context: ServerContext) async throws -> Response {
        try JSON.response(WireList(data: try await wireVoices()))
    }

    /// Takes a form with `name`, `transcript` and the recording `audio_sample`.
    func addVoice(_ request: Request, _ context: ServerContext) async throws -> Response {
        let body = Data(buffer: try await request.bytes(limit: limits.bodyBytes))
        let form = try MultipartForm(body, contentType: request.headers[.contentType] ?? "")
        guard let name = form.text("name", "id") else {
            throw APIError.invalid(
                "the field name is missing", param: "name", code: "missing_field")
        }
        guard let transcript = form.text("transcript", "text") else {
            throw APIError.invalid(
                "the field transcript is missing: what the recording says", param: "transcript",
                code: "missing_field")
        }
        guard let sample = form.part("audio_sample", "audio", "file") else {
            throw APIError.invalid(
                "the field audio_sample is missing: the recording of the voice",
                param: "audio_sample", code: "missing_field")
        }
        try checkText(transcript, param: "transcript")
        let id = name.trimmingCharacters(in: .whitespacesAndNewlines)
        let clip = try await clip(sample.data, param: "audio_sample")
        try await voices.add(id: id, clip: clip, transcript: transcript)
        let added = try await wireVoices().first { $0.id == id }
        guard let added else {
            throw APIError.notFound("the voice '\(id)' is gone", code: "voice_not_found")
        }
        return try JSON.response(added, status: .created)
    }

    /// Removes an uploaded voice.
    func removeVoice(_ request: Request, _ context: ServerContext) async throws -> Response {
        let raw = try context.parameters.require("id")
        let id = raw.removingPercentEncoding ?? raw
        try await voices.remove(id: id)
        return try JSON.response(WireDeletion(id: id))
    }

    private func wireVoices() async throws -> [WireVoice] {
        let voices = try await voices.voices()
        let first = (voices.first { $0.isBundled } ?? voices.first)?.id
        return voices.map { WireVoice($0, isDefault: $0.id == first) }
    }
}

// Speakers on disk, in the published layout: speakers_info.json maps ids to the prompt's text, and
// <id>_prompt.wav holds its sound. Bundles bring one such directory; users' own voices are another.

import Foundation

/// One directory of speakers.
public struct SpeakerDirectory: Sendable, Equatable {
    /// A speaker as the directory describes it.
    public struct Speaker: Sendable, Equatable, Codable {
        /// Id, as in speakers_info.json.
        public let id: String
        /// What the prompt recording says.
        public let promptText: String
        /// The prompt recording.
        public let promptAudio: String

        private enum CodingKeys: String, CodingKey {
            case id
            case promptText = "prompt_text"
            case promptAudio = "prompt_audio"
        }
    }

    /// Path of the directory.
    public let path: String
    /// Speakers in the order of the file.
    public private(set) var speakers: [Speaker]

    private static let fileName = "speakers_info.json"

    /// Reads a directory; one that does not exist has no speakers.
    public init(path: String) throws(StepAudioError) {
        self.path = path
        let file = path + "/" + Self.fileName
        guard FileManager.default.fileExists(atPath: file) else {
            speakers = []
            return
        }
        func failure(_ reason: String) -> StepAudioError {
            .modelUnusable(part: file, reason: reason)
        }
        guard let data = FileManager.default.contents(atPath: file) else {
            throw failure("the file cannot be read")
        }
        let texts: [String: String]
        do {
            texts = try JSONDecoder().decode([String: String].self, from: data)
        } catch {
            throw failure("not a JSON object of speaker ids and prompt texts")
        }
        speakers = Self.keysInOrder(of: data).compactMap { id in
            texts[id].map {
                Speaker(id: id, promptText: $0, promptAudio: "\(path)/\(id)_prompt.wav")
            }
        }
        if let bad = speakers.first(where: { !Self.isValid(id: $0.id) }) {
            throw failure("the id '\(bad.id)' is no file name; accepted: \(Self.idRule)")
        }
    }

    /// Adds or replaces a speaker whose prompt is a WAV file's bytes.
    public mutating func add(id: String, promptText: String, wav: Data) throws(StepAudioError) {
        guard Self.isValid(id: id) else {
            throw .badOption(name: "speaker id", value: "'\(id)'", accepted: Self.idRule)
        }
        let text = promptText.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !text.isEmpty else { throw .emptyInput("the text of the prompt recording") }
        let speaker = Speaker(id: id, promptText: text, promptAudio: "\(path)/\(id)_prompt.wav")
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
            try wav.write(to: URL(fileURLWithPath: speaker.promptAudio), options: .atomic)
        } catch {
            throw .modelUnusable(part: path, reason: (error as NSError).localizedDescription)
        }
        speakers.removeAll { $0.id == id }
        speakers.append(speaker)
        try write()
    }

    /// Removes a speaker and its recording; says whether there was one.
    public mutating func remove(id: String) throws(StepAudioError) -> Bool {
        guard let index = speakers.firstIndex(where: { $0.id == id }) else { return false }
        let speaker = speakers.remove(at: index)
        try write()
        try? FileManager.default.removeItem(atPath: speaker.promptAudio)
        return true
    }

    static let idRule = "1 to 64 letters, digits, '-', '_' and '.', not starting with '.'"

    /// Whether an id can name a file.
    static func isValid(id: String) -> Bool {
        (1...64).contains(id.count) && !id.hasPrefix(".")
            && id.allSatisfy { $0.isLetter || $0.isNumber || "-_.".contains($0) }
    }

    private func write() throws(StepAudioError) {
        let lines = speakers.map { speaker in
            "  \(Self.quoted(speaker.id)): \(Self.quoted(speaker.promptText))"
        }
        let text = "{\n\(lines.joined(separator: ",\n"))\n}\n"
        let file = path + "/" + Self.fileName
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: file), options: .atomic)
        } catch {
            throw .modelUnusable(part: file, reason: (error as NSError).localizedDescription)
        }
    }

    private static func quoted(_ text: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return (try? encoder.encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
    }

    /// The keys of a flat JSON object in the order of the file, which a dictionary forgets.
    private static func keysInOrder(of data: Data) -> [String] {
        var keys: [String] = []
        var literal: [UInt8] = []
        var (inside, escaped) = (false, false)
        var last: String?
        for byte in data {
            if inside {
                literal.append(byte)
                if escaped {
                    escaped = false
                } else if byte == UInt8(ascii: "\\") {
                    escaped = true
                } else if byte == UInt8(ascii: "\"") {
                    inside = false
                    last = try? JSONDecoder().decode(String.self, from: Data(literal))
                }
            } else if byte == UInt8(ascii: "\"") {
                inside = true
                literal = [byte]
            } else if byte == UInt8(ascii: ":"), let key = last {
                keys.append(key)
            }
        }
        return keys
    }
}

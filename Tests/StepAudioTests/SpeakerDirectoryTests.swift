// Speakers on disk: order, additions, removals and what is refused.

import Foundation
import StepAudio
import Testing

struct SpeakerDirectoryTests {
    private func temporaryDirectory() throws -> String {
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("stepaudio-speakers-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    @Test func keepsTheOrderOfTheFile() throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let json = #"{"zoe": "colon: \"a\"", "Tingting\u54fc\u5531": "b", "adam": "c:"}"#
        try Data(json.utf8).write(to: URL(fileURLWithPath: path + "/speakers_info.json"))
        let directory = try SpeakerDirectory(path: path)
        #expect(directory.speakers.map(\.id) == ["zoe", "Tingting哼唱", "adam"])
        #expect(directory.speakers.map(\.promptText) == ["colon: \"a\"", "b", "c:"])
    }

    @Test func addsAndRemovesSpeakers() throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        var directory = try SpeakerDirectory(path: path)
        try directory.add(id: "mine", promptText: " Hello \"you\". ", wav: Data([1, 2]))
        #expect(try SpeakerDirectory(path: path).speakers.first?.promptText == "Hello \"you\".")
        #expect(FileManager.default.fileExists(atPath: path + "/mine_prompt.wav"))
        #expect(try directory.remove(id: "mine"))
        #expect(try directory.remove(id: "mine") == false)
        #expect(!FileManager.default.fileExists(atPath: path + "/mine_prompt.wav"))
        #expect(try SpeakerDirectory(path: path).speakers.isEmpty)
    }

    @Test(arguments: ["", "../up", "a/b", ".hidden", String(repeating: "x", count: 65)])
    func refusesIdsThatAreNoFileNames(id: String) throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        var directory = try SpeakerDirectory(path: path)
        #expect(throws: StepAudioError.self) {
            try directory.add(id: id, promptText: "text", wav: Data())
        }
        #expect(directory.speakers.isEmpty)
    }

    @Test func refusesAFileThatIsNoMap() throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = path + "/speakers_info.json"
        try Data("[1]".utf8).write(to: URL(fileURLWithPath: file))
        #expect(
            throws: StepAudioError.modelUnusable(
                part: file, reason: "not a JSON object of speaker ids and prompt texts")
        ) { try SpeakerDirectory(path: path) }
    }
}

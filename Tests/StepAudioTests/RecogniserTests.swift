// What a recogniser hears of the speech: Whisper tiny.en through Tools/evaluation. The variable
// STEPAUDIO_RECOGNISER names a Python that has its packages; without it these tests are skipped.

import Foundation
import StepAudio
import Testing

/// Whisper as a process.
private enum Recogniser {
    static let python = ProcessInfo.processInfo.environment["STEPAUDIO_RECOGNISER"]

    /// What is heard in each clip.
    static func transcribe(_ clips: [AudioClip]) throws -> [String] {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("stepaudio-recogniser-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let paths = clips.indices.map { "\(folder)/\($0).wav" }
        for (clip, path) in zip(clips, paths) {
            try clip.writeWAV(to: path)
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(python))
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().path
        process.arguments = [root + "/Tools/evaluation/transcribe.py"] + paths
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let lines = String(
            decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        return try lines.split(separator: "\n").map {
            try JSONDecoder().decode([String: String].self, from: Data($0.utf8))["text"] ?? ""
        }
    }

    /// Lower-case words without marks.
    static func words(_ text: String) -> [String] {
        text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
    }

    /// Words that have to be put in, taken out or changed.
    static func errors(_ said: String, _ heard: String) -> Int {
        let (one, two) = (words(said), words(heard))
        var row = Array(0...two.count)
        for (index, word) in one.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, other) in two.enumerated() {
                let best = min(
                    row[column + 1] + 1, row[column] + 1, diagonal + (word == other ? 0 : 1))
                diagonal = row[column + 1]
                row[column + 1] = best
            }
        }
        return row[two.count]
    }

    /// The share of wrong words over all pairs.
    static func errorRate(_ said: [String], _ heard: [String]) -> Double {
        let wrong = zip(said, heard).reduce(0) { $0 + errors($1.0, $1.1) }
        return Double(wrong) / Double(said.reduce(0) { $0 + words($1).count })
    }
}

@Suite(.serialized, .enabled(if: Recogniser.python != nil)) struct RecogniserTests {
    @Test func wordErrorsAreCounted() {
        #expect(Recogniser.errors("The sky is blue.", "the sky, is Blue") == 0)
        #expect(Recogniser.errors("one two three", "one three four") == 2)
        #expect(Recogniser.errors("", "a b") == 2)
    }

    @Test func theAnswersAreUnderstood() async throws {
        let answers = Pocket.questions.map(\.answer)
        var clips: [AudioClip] = []
        for answer in answers {
            clips.append(try await Pocket.system.say(answer).speech.clip)
        }
        let heard = try Recogniser.transcribe(clips)
        let rate = Recogniser.errorRate(answers, heard)
        print("word errors of spoken answers: \(rate)")
        #expect(rate <= 0.5, "\(heard)")
    }

    @Test func decodedRecordingsAreUnderstood() async throws {
        let questions = Pocket.questions.filter { !$0.text.contains("spell") }
        var clips: [AudioClip] = []
        for question in questions {
            let tokens = try await Pocket.system.encodeAudio(question.path)
            clips.append(try await Pocket.system.decode(tokens).speech.clip)
        }
        let heard = try Recogniser.transcribe(clips)
        let rate = Recogniser.errorRate(questions.map(\.text), heard)
        print("word errors of decoded recordings: \(rate)")
        #expect(rate <= 0.5, "\(heard)")
    }
}

// `--stream` as a real process: to a pipe, to a file, to a player, and when it is interrupted.

import AudioSignal
import Foundation
import Testing

private func temporary(_ name: String) -> String {
    FileManager.default.temporaryDirectory.path + "/stepaudio-\(UUID())-\(name)"
}

@Suite(.serialized) struct StreamCommandTests {
    private let text = "A week has seven days. The sky is blue."

    /// The samples after a WAV header of unknown length.
    private func samples(ofPipedWAV data: Data) throws -> Data {
        #expect(data.starts(with: Data("RIFF".utf8)))
        #expect(data[4..<8] == Data([255, 255, 255, 255]))
        return data.dropFirst(44)
    }

    @Test func speechGoesToAPipe() throws {
        let wav = try CommandProcess.run(["say", text, "--stream", "-o", "-"])
        #expect(wav.status == 0, "\(wav.error)")
        #expect(wav.error == "")
        let pcm = try CommandProcess.run(["say", text, "--stream", "-o", "-", "--format", "pcm"])
        #expect(pcm.status == 0, "\(pcm.error)")
        #expect(pcm.bytes.count > 2 * 22_050)
        #expect(try samples(ofPipedWAV: wav.bytes) == pcm.bytes)
    }

    @Test func wholeSpeechGoesToAPipe() throws {
        let path = temporary("whole.wav")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let piped = try CommandProcess.run(["say", text, "-o", "-"])
        #expect(try CommandProcess.run(["say", text, "-o", path]).status == 0)
        let file = try #require(FileManager.default.contents(atPath: path))
        #expect(try samples(ofPipedWAV: piped.bytes) == file.dropFirst(44))
    }

    @Test func aStreamedFileHasItsLength() throws {
        let path = temporary("streamed.wav")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let result = try CommandProcess.run(["say", text, "--stream", "-o", path, "--json"])
        #expect(result.status == 0, "\(result.error)")
        let report = try result.json()
        let clip = try AudioFile.read(path: path)
        #expect(abs(clip.duration - (report["seconds"] as? Double ?? 0)) < 0.001)
        #expect(try #require(report["first_audio_seconds"] as? Double) > 0)
    }

    @Test func aPlayerGetsTheSamples() throws {
        let path = temporary("played")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let played = try CommandProcess.run(
            ["say", text, "--stream"],
            environment: ["STEPAUDIO_PLAYER": "echo {rate} > \(path).rate; cat > \(path)"])
        #expect(played.status == 0, "\(played.error)")
        let rate = FileManager.default.contents(atPath: path + ".rate")
        try? FileManager.default.removeItem(atPath: path + ".rate")
        #expect(rate == Data("22050\n".utf8))
        let pcm = try CommandProcess.run(["say", text, "--stream", "-o", "-", "--format", "pcm"])
        #expect(FileManager.default.contents(atPath: path) == pcm.bytes)
    }

    @Test func chatSpeaksIntoAPipeAndWritesBesideIt() throws {
        let result = try CommandProcess.run([
            "chat", "What is the capital of France?", "--temperature", "0", "--stream", "-o", "-",
            "--format", "pcm",
        ])
        #expect(result.status == 0, "\(result.error)")
        #expect(result.error == "The capital of France is Paris.\n")
        #expect(result.bytes.count > 22_050)
    }

    @Test func withoutAPlayerSayNamesTheKnown() throws {
        let result = try CommandProcess.run(["say", "a", "--stream"])
        #expect(result.status == 64)
        #expect(result.error.contains("no player was found (paplay, aplay, play, ffplay)"))
        let both = try CommandProcess.run(["say", "a", "-o", "-", "--json"])
        #expect(both.status == 64)
        #expect(both.error.contains("--json and -o - both want standard output"))
        let format = try CommandProcess.run(["say", "a", "-o", "-", "--format", "mp3"])
        #expect(format.error.contains("format is 'mp3'; accepted: wav, pcm"))
    }

    @Test func aPlayerThatFailsIsNamed() throws {
        let result = try CommandProcess.run(
            ["say", "Hello.", "--stream"], environment: ["STEPAUDIO_PLAYER": "exit 3"])
        #expect(result.status == 1)
        #expect(result.error.contains("the player 'exit 3'"), "\(result.error)")
    }

    @Test func anInterruptEndsAStream() throws {
        let long = String(repeating: "This goes on and on. ", count: 200)
        let result = try CommandProcess.run(
            ["say", long, "--stream"], environment: ["STEPAUDIO_PLAYER": "cat > /dev/null"],
            interruptAfter: 3)
        #expect(result.status == 130, "\(result)")
        #expect(result.error.hasSuffix("interrupted\n"))
    }
}

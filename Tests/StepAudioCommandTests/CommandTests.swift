// The command as a real process on the pocket bundle: results on standard output, everything else on
// standard error, exit codes, JSON, the environment's twins.

import AudioSignal
import Foundation
import TestSupport
import Testing

private func temporary(_ name: String) -> String {
    FileManager.default.temporaryDirectory.path + "/stepaudio-\(UUID())-\(name)"
}

private let recording =
    CommandProcess.package.path + "/Models/pocket/questions/what-color-is-the-sky.wav"

@Suite(.serialized) struct CommandTests {
    @Test func chatAnswersATypedQuestion() throws {
        let result = try CommandProcess.run(
            ["chat", "What is the capital of France?", "--temperature", "0"])
        #expect(result.status == 0, "\(result)")
        #expect(result.output == "The capital of France is Paris.\n")
        #expect(result.error == "")
    }

    @Test func chatAsksAServer() throws {
        let tokens = [[300, 301], [302]]
        let stub = StubServer { request, _ in
            request.path == "/v1/models"
                ? [Reply.models]
                : [Reply.stream] + tokens.map { Reply.tokens($0) } + [
                    Reply.tokens([3], finish: "stop")
                ]
        }
        let result = try CommandProcess.run(
            ["chat", "Hello.", "--llm-url", stub.url, "--llm-model", "other", "--json"],
            environment: ["STEPAUDIO_LLM_KEY": "secret"])
        #expect(result.status == 0, "\(result)")
        #expect(try result.json()["text_tokens"] as? Int == 3)
        let sent = try #require(stub.completions.first)
        #expect(sent.object["model"] as? String == "other")
        #expect(sent.headers.contains("Bearer secret"))
        stub.stop()
        let away = try CommandProcess.run(
            ["chat", "Hello."], environment: ["STEPAUDIO_LLM_URL": stub.url])
        #expect(away.status == 1)
        #expect(away.error == "error: the server \(stub.url) is away: it refuses connections\n")
        let bad = try CommandProcess.run(["chat", "Hello.", "--llm-url", "gpu"])
        #expect(bad.status == 1)
        #expect(
            bad.error
                == "error: 'gpu' is no address of a server; accepted: http://HOST:PORT or https://HOST\n"
        )
    }

    @Test func chatAnswersARecordingAndSpeaks() throws {
        let path = temporary("answer.wav")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let result = try CommandProcess.run(
            ["chat", "--audio", recording, "--temperature", "0", "-o", path, "--json"])
        #expect(result.status == 0, "\(result)")
        let report = try result.json()
        #expect(report["text"] as? String == "The sky is blue.")
        #expect(report["sample_rate"] as? Int == 22_050)
        let timings = try #require(report["timings"] as? [String: Double])
        for stage in ["load", "encode", "chat", "speech_tokens", "flow", "vocoder"] {
            #expect(try #require(timings[stage]) > 0, "\(stage)")
        }
        let memory = try #require(report["memory"] as? [String: Any])
        #expect(try #require(memory["weight_bytes"] as? Int) > 1_000_000)
        #expect(try #require(memory["cache_bytes"] as? Int) > 0)
        #expect(try #require(memory["peak_bytes"] as? Int) > 1_000_000)
        let clip = try AudioFile.read(path: path)
        #expect(clip.sampleRate == 22_050)
        #expect(abs(clip.duration - (report["seconds"] as? Double ?? 0)) < 0.001)
    }

    @Test func pipedInputIsAQuestion() throws {
        let result = try CommandProcess.run(
            ["chat", "--temperature", "0"], input: Data("What is the capital of Japan?\n".utf8))
        #expect(result.output == "The capital of Japan is Tokyo.\n", "\(result)")
    }

    @Test func aConversationIsKept() throws {
        let path = temporary("talk.json")
        defer { try? FileManager.default.removeItem(atPath: path) }
        for question in ["What is the capital of Japan?", "What is the capital of France?"] {
            let result = try CommandProcess.run(
                ["chat", question, "--temperature", "0", "--conversation", path])
            #expect(result.status == 0, "\(result)")
        }
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.contains("The capital of Japan is Tokyo."))
        #expect(text.contains("What is the capital of France?"))
    }

    @Test func streamedTextIsTheAnswer() throws {
        let result = try CommandProcess.run(
            ["chat", "What color is the sky?", "--temperature", "0", "--stream"])
        #expect(result.output == "The sky is blue.\n", "\(result)")
    }

    @Test func sayWritesASoundFileAndTimings() throws {
        let path = temporary("say.wav")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let result = try CommandProcess.run(
            ["say", "Good morning.", "-o", path, "--speech-temperature", "0", "--verbose"])
        #expect(result.status == 0, "\(result)")
        #expect(result.output == "")
        #expect(result.error.contains("real-time factor"))
        #expect(try AudioFile.read(path: path).duration > 0.3)
    }

    @Test func theSeedDecides() throws {
        let paths = (0..<3).map { temporary("\($0).wav") }
        defer { paths.forEach { try? FileManager.default.removeItem(atPath: $0) } }
        for (path, seed) in zip(paths, ["1", "1", "2"]) {
            let result = try CommandProcess.run(["say", "Hello.", "-o", path, "--seed", seed])
            #expect(result.status == 0, "\(result)")
        }
        let contents = paths.map { FileManager.default.contents(atPath: $0) }
        #expect(contents[0] == contents[1])
        #expect(contents[0] != contents[2])
    }

    @Test func encodeAndDecodeAreAPipe() throws {
        let encoded = try CommandProcess.run(["encode", recording])
        #expect(encoded.status == 0, "\(encoded)")
        #expect(encoded.output.hasPrefix("<audio_"))
        let path = temporary("decoded.wav")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let decoded = try CommandProcess.run(
            ["decode", "-o", path, "--json"], input: Data(encoded.output.utf8))
        #expect(decoded.status == 0, "\(decoded)")
        let original = try AudioFile.read(path: recording).duration
        #expect(abs(try AudioFile.read(path: path).duration - original) < 0.25)
    }

    @Test func whatIsTooShortForATokenIsRefused() throws {
        // The head of the recording and 50 ms of it.
        var data = try Data(contentsOf: URL(fileURLWithPath: recording)).prefix(44 + 2 * 1102)
        data.replaceSubrange(
            40..<44, with: withUnsafeBytes(of: UInt32(2 * 1102).littleEndian) { Array($0) })
        let result = try CommandProcess.run(["encode", "-"], input: data)
        #expect(result.status == 1 && result.output.isEmpty)
        #expect(result.error.contains("too short for a group of tokens"), "\(result)")
    }

    @Test func encodeReportsBothStreams() throws {
        let data = try #require(FileManager.default.contents(atPath: recording))
        let report = try CommandProcess.run(["encode", "-", "--json"], input: data).json()
        let linguistic = try #require(report["linguistic"] as? [Int])
        let semantic = try #require(report["semantic"] as? [Int])
        let ids = try #require(report["ids"] as? [Int])
        #expect(ids.count == 5 * min(linguistic.count / 2, semantic.count / 3))
        #expect(Array(ids.prefix(2)) == Array(linguistic.prefix(2)))
    }

    @Test func voicesAreAddedAndRemoved() throws {
        let folder = temporary("voices")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let environment = ["STEPAUDIO_VOICES": folder]
        func run(_ arguments: [String]) throws -> CommandResult {
            try CommandProcess.run(["voices"] + arguments, environment: environment)
        }
        #expect(try run([]).output.hasPrefix("Hibari\t"))
        let added = try run([
            "add", "mine", "--audio", recording, "--text", "What color is the sky?",
        ])
        #expect(added.status == 0, "\(added)")
        #expect(try run([]).output.contains("mine\tWhat color is the sky?"))
        let path = temporary("mine.wav")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let said = try CommandProcess.run(
            ["say", "Hello.", "--speaker", "mine", "-o", path], environment: environment)
        #expect(said.status == 0, "\(said)")
        #expect(try run(["remove", "mine"]).status == 0)
        let again = try run(["remove", "mine"])
        #expect(again.status == 1)
        #expect(again.error == "error: there is no speaker 'mine'; known speakers: \n")
        #expect(try run(["remove", "Hibari"]).status == 1)
    }

    @Test func inspectDescribesTheBundle() throws {
        let result = try CommandProcess.run(["inspect"])
        #expect(result.status == 0)
        for word in [
            "audio tokenizer:", "chat model:", "music decoder: missing", "Hibari", "memory at bf16",
        ] {
            #expect(result.output.contains(word), "\(word)")
        }
        let report = try CommandProcess.run(["inspect", "--json"]).json()
        #expect((report["parts"] as? [[String: Any]])?.count == 5)
    }

    @Test func doctorTriesEveryPart() throws {
        let result = try CommandProcess.run(["doctor"])
        #expect(result.status == 0, "\(result)")
        for line in ["ok   encoding:", "ok   answering:", "ok   speaking:"] {
            #expect(result.output.contains(line), "\(result)")
        }
        #expect(try CommandProcess.run(["doctor", "--models", "/nowhere"]).status == 1)
    }

    @Test func anInterruptEndsWith130() throws {
        let path = temporary("never.wav")
        let text = String(repeating: "This goes on and on and on. ", count: 200)
        let result = try CommandProcess.run(["say", text, "-o", path], interruptAfter: 1)
        #expect(result.status == 130, "\(result)")
        #expect(result.error.contains("interrupted"))
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func flagsHaveTwinsInTheEnvironment() throws {
        let result = try CommandProcess.run(
            ["chat", "What is the capital of France?"],
            environment: ["STEPAUDIO_TEMPERATURE": "0", "STEPAUDIO_JSON": "1"])
        #expect(try result.json()["text"] as? String == "The capital of France is Paris.")
        let missing = try CommandProcess.run(
            ["encode", recording], environment: ["STEPAUDIO_MODELS": "/nowhere"])
        #expect(missing.status == 1)
        #expect(missing.error.contains("/nowhere/Step-Audio-Tokenizer"))
    }

    @Test func threadsDoNotChangeTheResult() throws {
        let first = try CommandProcess.run(["encode", recording, "--threads", "1"])
        let second = try CommandProcess.run(["encode", recording, "--threads", "3"])
        #expect(first.output == second.output)
    }
}

struct CommandLineErrorTests {
    static let wrong: [([String], [String: String], String)] = [
        (["sing"], [:], "Unexpected argument 'sing'"),
        (
            ["chat", "a", "--audio", "b.wav"], [:],
            "give the question as TEXT or as --audio, not both"
        ),
        (["chat", "a", "--temperature", "warm"], [:], "'warm' is invalid for '--temperature"),
        (["chat", "a", "--history", "none"], [:], "history is 'none'; accepted: tokens, text"),
        (
            ["chat", "a", "--precision", "fp64"], [:],
            "precision is 'fp64'; accepted: auto, fp32, bf16, int8, int4"
        ),
        (
            ["chat", "a", "--threads=-1"], [:],
            "threads is -1; accepted: 1 to 1024, 0 for all cores"
        ),
        (["chat", "a", "--seed=-5"], [:], "'-5' is invalid for '--seed"),
        (["chat", "a", "--nonsense"], [:], "Unknown option '--nonsense'"),
        (["chat"], [:], "there is no question: give TEXT, --audio or standard input"),
        (["say"], [:], "Missing expected argument '<text>'"),
        (["say", "a"], [:], "where should the speech go? Give -o OUT.wav"),
        (
            ["say", "a", "-o", "x.wav", "--prompt-audio", "b.wav"], [:],
            "--prompt-audio and --prompt-text belong together"
        ),
        (
            [
                "say", "a", "-o", "x.wav", "--speaker", "s", "--prompt-audio", "b", "--prompt-text",
                "t",
            ], [:], "give --speaker or --prompt-audio, not both"
        ),
        (["decode", "<audio_1>"], [:], "where should the speech go? Give -o OUT.wav"),
        (["encode"], [:], "Missing expected argument '<input>'"),
        (["voices", "add", "x"], [:], "Missing expected argument '--audio"),
        (
            ["say", "a", "-o", "x.wav", "--speed", "0"], [:], "speed is 0.0; accepted: 0.1 to 100"
        ),
        (
            ["say", "a", "-o", "x.wav", "--volume", "-2"], [:], "volume is -2.0; accepted: 0 to 100"
        ),
        (
            ["say", "a", "-o", "x.wav", "--emotion", "joy"], [:], "emotion is 'joy'; accepted: 高兴1"
        ),
        (
            ["say", "a", "-o", "x.wav", "--style", "OPERA"], [:],
            "style is 'OPERA'; accepted: RAP, 哼唱"
        ),
        (["chat", "a", "--top-p", "0"], [:], "top-p is 0.0; accepted: above 0, at most 1"),
        (
            ["chat", "a", "--max-tokens", "-1"], [:],
            "largest number of answer tokens is -1; accepted: 1 or more"
        ),
        (["decode", "<audio_1>", "-o", "x.wav", "--speed", "nan"], [:], "speed is nan"),
        (["chat", "a", "--threads", "-3"], [:], "threads is -3"),
        (
            ["chat", "a"], ["STEPAUDIO_THREADS": "many"],
            "STEPAUDIO_THREADS is 'many', which is not a Int"
        ),
        (
            ["chat", "a"], ["STEPAUDIO_JSON": "perhaps"],
            "STEPAUDIO_JSON is 'perhaps'; accepted: 1 or 0"
        ),
        (
            ["chat", "a"], ["STEPAUDIO_SPEED": "fast"],
            "STEPAUDIO_SPEED is 'fast', which is not a Double"
        ),
    ]

    @Test(arguments: wrong.indices)
    func wrongCommandLinesExitWith64(index: Int) throws {
        let (arguments, environment, message) = Self.wrong[index]
        let result = try CommandProcess.run(arguments, environment: environment)
        #expect(result.status == 64, "\(result)")
        #expect(result.error.contains(message), "\(result)")
        #expect(result.output == "")
    }

    static let failing: [([String], String)] = [
        (["encode", "/nowhere/a.wav"], "cannot use the audio /nowhere/a.wav: "),
        (["encode", "/dev/null"], "cannot use the audio /dev/null: "),
        (["chat", "a", "--models", "/nowhere"], "the chat model is missing"),
        (["say", "a", "-o", "/proc/none/x.wav", "--speech-temperature", "0"], "/proc/none/x.wav"),
        (
            ["say", "a", "-o", "x.wav", "--speaker", "nobody"],
            "there is no speaker 'nobody'; known speakers: Hibari"
        ),
        (["say", " ", "-o", "x.wav"], "the text to speak is empty"),
        (["decode", "hello", "-o", "x.wav"], "character 0 is not the start of an audio token"),
        (["decode", "<audio_999999>", "-o", "x.wav"], "token 0 is <audio_999999>"),
        (["verify", "--cases", "/nowhere/c.safetensors"], "/nowhere/c.safetensors"),
        (["inspect", "/nowhere"], "/nowhere/Step-Audio-Tokenizer"),
        (["voices", "add", "../x", "--audio", recording, "--text", "t"], "'../x'"),
        (
            ["voices", "add", "x", "--audio", recording, "--text", " "],
            "the text of the prompt recording is empty"
        ),
    ]

    @Test(arguments: failing.indices)
    func failuresExitWith1AndSayWhy(index: Int) throws {
        let (arguments, message) = Self.failing[index]
        let result = try CommandProcess.run(arguments)
        #expect(result.status == 1, "\(result)")
        #expect(result.error.contains(message), "\(result)")
    }

    @Test func helpAndVersionExitWith0() throws {
        #expect(try CommandProcess.run(["--help"]).output.contains("SUBCOMMANDS"))
        #expect(try CommandProcess.run(["--version"]).output.contains("0.1.0"))
        for verb in ["chat", "say", "encode", "decode", "voices", "inspect", "verify", "doctor"] {
            let help = try CommandProcess.run([verb, "--help"])
            #expect(help.status == 0 && help.output.contains("USAGE"), "\(verb)")
        }
    }
}

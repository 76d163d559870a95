// The whole chain on the pocket bundle: answers to typed and recorded questions, speech, token round
// trips, history, determinism, and what is refused.

import Foundation
import StepAudio
import Testing

/// The pocket bundle and one system that the tests share.
enum Pocket {
    static let folder =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path + "/Models/pocket"
    static let locations = ModelLocations(models: folder)
    static let options = StepAudio.Options(userVoices: "/nowhere")
    static let system = StepAudio(locations: locations, options: options)

    /// A question with its recording and the answer.
    struct Question: Decodable, Sendable, CustomTestStringConvertible {
        let text: String
        let recording: String
        let answer: String

        var testDescription: String { text }
        var path: String { Pocket.folder + "/questions/" + recording }
    }

    static let questions: [Question] = {
        let data = FileManager.default.contents(atPath: folder + "/questions/questions.json")
        return (data.flatMap { try? JSONDecoder().decode([Question].self, from: $0) }) ?? []
    }()

    /// Text only, the likeliest token each time.
    static var textOnly: ChatOptions {
        var options = ChatOptions()
        options.speaks = false
        options.sampling.temperature = 0
        return options
    }
}

@Suite(.serialized) struct PocketChatTests {
    @Test func thereAreTenQuestions() {
        #expect(Pocket.questions.count >= 10)
    }

    @Test(arguments: Pocket.questions)
    func answersTypedQuestions(question: Pocket.Question) async throws {
        let result = try await Pocket.system.answer(
            [.user(question.text)], options: Pocket.textOnly)
        #expect(result.answer.text == question.answer)
        #expect(result.answer.finishReason == .stop)
    }

    @Test(arguments: Pocket.questions)
    func answersRecordedQuestions(question: Pocket.Question) async throws {
        let result = try await Pocket.system.answer(
            [.user(audio: question.path)], options: Pocket.textOnly)
        #expect(result.answer.text == question.answer)
    }

    @Test func historyKeepsTheTokensOfARecording() async throws {
        let question = try #require(Pocket.questions.first)
        let first = try await Pocket.system.answer(
            [.user(audio: question.path)], options: Pocket.textOnly)
        let kept = try #require(first.history.first?.content?.first)
        guard case .audio(.tokens(let tokens)) = kept else {
            Issue.record("the recording is kept as \(kept)")
            return
        }
        #expect(tokens == (try await Pocket.system.encodeAudio(question.path)))
        let next = Pocket.questions[1]
        let second = try await Pocket.system.answer(
            first.history + [.assistant(first.answer.text), .user(next.text)],
            options: Pocket.textOnly)
        #expect(second.answer.text == next.answer)
    }

    @Test func theTemplateHoldsTagsAndTokens() async throws {
        let question = try #require(Pocket.questions.first)
        let tokens = try await Pocket.system.encodeAudio(question.path)
        var message = Message.user(audio: question.path)
        message.style = SpeechStyle(emotion: "高兴1", pace: "慢速1")
        #expect(
            try await Pocket.system.applyChatTemplate([.system("s"), message])
                == "<|BOT|>system\ns<|EOT|><|BOT|>human\n(高兴1)(慢速1)\(tokens)<|EOT|><|BOT|>assistant\n"
        )
    }

    @Test func theAnswerStreams() async throws {
        let question = try #require(Pocket.questions.first)
        var text = ""
        var pieces = 0
        var finished: Answer?
        for try await event in Pocket.system.stream(
            [.user(question.text)], options: Pocket.textOnly)
        {
            switch event {
            case .text(let piece):
                text += piece
                pieces += 1
            case .speech: break
            case .finished(let answer): finished = answer
            }
        }
        #expect(text == question.answer)
        #expect(finished?.text == text)
        #expect(pieces > 1)
    }

    @Test func theOriginalsCallReturnsTextSamplesAndRate() async throws {
        let question = try #require(Pocket.questions.first)
        let result = try await Pocket.system(
            [.user(question.text)], speedRatio: 2, volumeRatio: 0.5)
        #expect(!result.text.isEmpty)
        #expect(result.sampleRate == 22_050)
        #expect(result.samples.contains { abs($0) > 0.001 })
    }
}

@Suite(.serialized) struct PocketSpeechTests {
    private var greedy: SpeechOptions {
        var options = SpeechOptions()
        options.sampling.temperature = 0
        return options
    }

    @Test func theSameSeedGivesTheSameSamples() async throws {
        var options = SpeechOptions()
        options.sampling.seed = 7
        let first = try await Pocket.system.say("Hello.", options: options).speech
        let second = try await Pocket.system.say("Hello.", options: options).speech
        #expect(first == second)
        options.sampling.seed = 8
        #expect(try await Pocket.system.say("Hello.", options: options).speech != first)
    }

    @Test func speedAndVolumeApply() async throws {
        let plain = try await Pocket.system.say("Good morning.", options: greedy).speech
        var options = greedy
        options.speedRatio = 2
        options.volumeRatio = 0.5
        let changed = try await Pocket.system.say("Good morning.", options: options).speech
        #expect(changed.samples.count == (plain.samples.count + 1) / 2)
        #expect(changed.tokens == plain.tokens)
        let (loud, quiet) = (plain.clip.peak, changed.clip.peak)
        #expect(quiet < 0.75 * loud)
    }

    @Test func decodingTheTokensGivesTheSpeech() async throws {
        let spoken = try await Pocket.system.say("Good morning.", options: greedy).speech
        let tokens = spoken.tokens.map { "<audio_\($0)>" }.joined()
        #expect(
            try await Pocket.system.decode(tokens, options: greedy).speech.samples == spoken.samples
        )
    }

    @Test func longTextIsSpokenInParts() async throws {
        let sentence = "This is a sentence that takes some time to say, and it has a few words. "
        let one = try await Pocket.system.say(sentence, options: greedy).speech
        let three = try await Pocket.system.say(
            String(repeating: sentence, count: 3), options: greedy
        ).speech
        #expect(three.seconds > 2 * one.seconds)
        #expect(three.tokens.count % 5 == 0)
    }

    @Test func aClonedVoiceSpeaks() async throws {
        let question = try #require(Pocket.questions.first)
        var options = greedy
        options.clone = VoicePrompt(audio: .file(question.path), text: question.text)
        let speech = try await Pocket.system.say("Hello.", options: options).speech
        #expect(speech.seconds > 0.1)
    }

    /// Half of the codes of a recording come back when its decoded speech is encoded again.
    @Test(arguments: Pocket.questions.prefix(3))
    func tokensSurviveARoundTrip(question: Pocket.Question) async throws {
        let tokens = try await Pocket.system.encode(.file(question.path))
        let speech = try await Pocket.system.decode(tokens.text).speech
        let again = try await Pocket.system.encode(.clip(speech.clip))
        #expect(abs(again.linguistic.count - tokens.linguistic.count) <= 4)
        let equal = zip(tokens.linguistic, again.linguistic).count { $0 == $1 }
        #expect(Double(equal) > 0.2 * Double(tokens.linguistic.count))
    }
}

struct PocketErrorTests {
    private func failure(_ work: () async throws -> Void) async -> String? {
        await #expect(throws: StepAudioError.self) { try await work() }?.description
    }

    @Test func anUnknownSpeakerNamesTheKnown() async {
        var options = SpeechOptions()
        options.speaker = "nobody"
        let message = await failure { _ = try await Pocket.system.say("Hi.", options: options) }
        #expect(message == "there is no speaker 'nobody'; known speakers: Hibari")
    }

    @Test func singingWithoutTheMusicCheckpointNamesTheFiles() async {
        var options = SpeechOptions()
        options.vocalStyle = "RAP"
        let message = await failure { _ = try await Pocket.system.say("Hi.", options: options) }
        #expect(message?.hasPrefix("the music decoder is missing; looked for ") == true)
    }

    @Test(arguments: [
        (0.01, 1.0, "speed is 0.01; accepted: 0.1 to 100"),
        (101, 1, "speed is 101.0; accepted: 0.1 to 100"),
        (.nan, 1, "speed is nan; accepted: 0.1 to 100"),
        (1, -1, "volume is -1.0; accepted: 0 to 100"),
        (1, .infinity, "volume is inf; accepted: 0 to 100"),
    ])
    func ratiosAreBounded(speed: Double, volume: Double, expected: String) async {
        var options = SpeechOptions()
        options.speedRatio = speed
        options.volumeRatio = volume
        let message = await failure { _ = try await Pocket.system.say("Hi.", options: options) }
        #expect(message == expected)
    }

    @Test func nothingToSayOrAsk() async {
        #expect(
            await failure { _ = try await Pocket.system.say("  \n") }
                == "the text to speak is empty")
        #expect(
            await failure { _ = try await Pocket.system.answer([]) } == "the conversation is empty")
        #expect(
            await failure { _ = try await Pocket.system.decode("") } == "the token string is empty")
    }

    @Test func unknownStylesNameTheKnown() async {
        var options = SpeechOptions()
        options.style = SpeechStyle(pace: "fast")
        #expect(
            await failure { _ = try await Pocket.system.say("Hi.", options: options) }
                == "pace is 'fast'; accepted: 慢速1, 慢速2, 快速1, 快速2")
        options = SpeechOptions()
        options.vocalStyle = "OPERA"
        #expect(
            await failure { _ = try await Pocket.system.say("Hi.", options: options) }
                == "style is 'OPERA'; accepted: RAP, 哼唱")
    }

    @Test func badTokensAreNamed() async {
        #expect(
            await failure { _ = try await Pocket.system.decode("<audio_1><audio_1>") }
                == "cannot use the audio tokens: 2 audio tokens are not whole groups of five; "
                + "the last group has 2")
    }

    @Test func recordingsThatCannotBeHeard() async {
        let missing = await failure { _ = try await Pocket.system.encodeAudio("/nowhere/a.wav") }
        #expect(missing?.hasPrefix("cannot use the audio /nowhere/a.wav: ") == true)
        let short = AudioClip(mono: [Float](repeating: 0.1, count: 300), sampleRate: 16_000)
        let message = await failure {
            _ = try await Pocket.system.answer(
                [Message(role: "user", content: [.audio(.clip(short))])], options: Pocket.textOnly)
        }
        #expect(
            message
                == "cannot use the audio in memory: it lasts 0.019 s, too short for a group of tokens "
                + "(0.2 s)")
    }

    @Test func aMissingBundleNamesTheFiles() async {
        let system = StepAudio(
            locations: ModelLocations(models: "/nowhere"), options: Pocket.options)
        let message = await failure { _ = try await system.encodeAudio(Pocket.questions[0].path) }
        #expect(
            message?.hasPrefix(
                "the audio tokenizer is missing; looked for linguistic_tokenizer.npy in /nowhere/")
                == true)
        await #expect(throws: StepAudioError.self) {
            _ = try await StepAudio(tokenizerPath: "/nowhere", ttsPath: "/no", llmPath: "/none")
        }
    }

    @Test func cancellingEndsAnAnswer() async throws {
        let task = Task {
            try await Pocket.system.say(String(repeating: "This goes on and on. ", count: 40))
        }
        try await Task.sleep(for: .milliseconds(300))
        task.cancel()
        let error = await #expect(throws: StepAudioError.self) { try await task.value }
        #expect(error == .cancelled(stage: "speech"))
    }
}

struct MemoryTests {
    @Test func whatDoesNotFitIsRefusedWithNumbers() {
        let size = WeightSize(
            parameters: 3_000_000_000, hasPrecision: true, isBFloat16: false,
            fileBytes: 6_000_000_000, storedAs: "float32")
        let error = #expect(throws: StepAudioError.self) {
            try size.check(available: 8_000_000_000, precision: .fp32)
        }
        #expect(
            error?.description
                == "the weights need 12 GB at fp32, but only 8000 MB of memory are free; "
                + "bf16 would fit")
        #expect(throws: Never.self) { try size.check(available: 8_000_000_000, precision: .bf16) }
        #expect(size.preferred(available: 8_000_000_000) == .bf16)
        #expect(size.preferred(available: 20_000_000_000) == .fp32)
        let none = #expect(throws: StepAudioError.self) {
            try size.check(available: 1_000_000_000, precision: .bf16)
        }
        #expect(none?.description.hasSuffix("; no precision fits") == true)
    }

    @Test func theBundleIsInspectedWithoutLoading() throws {
        let inspection = try BundleInspection(locations: Pocket.locations)
        let present = inspection.parts.filter(\.isPresent).map(\.name)
        #expect(present == ["audio tokenizer", "speech model", "speech decoder", "chat model"])
        #expect(inspection.parts.filter(\.isPresent).allSatisfy { $0.parameters > 100_000 })
        #expect(inspection.speakers.first == "Hibari")
        #expect(inspection.memory[0].bytes > inspection.memory[1].bytes)
    }
}

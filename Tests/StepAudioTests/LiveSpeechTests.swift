// Streams on the pocket bundle: chunks are the speech, calls side by side give what each gives alone,
// cancelling ends them, recordings are encoded while they are made, caches keep to their bounds.

import AudioSignal
import Foundation
import SpeechSynthesis
import StepAudio
import TensorCore
import Testing

@Suite(.serialized) struct LiveSpeechTests {
    private func options(seed: UInt64 = 0, speed: Double = 1) -> SpeechOptions {
        var options = SpeechOptions()
        options.sampling.seed = seed
        options.speedRatio = speed
        return options
    }

    private func collect(
        _ text: String, _ options: SpeechOptions
    ) async throws -> (chunks: [SpeechChunk], spoken: SpokenText) {
        var chunks: [SpeechChunk] = []
        var spoken: SpokenText?
        for try await event in Pocket.system.streamSpeech(text, options: options) {
            switch event {
            case .chunk(let chunk): chunks.append(chunk)
            case .finished(let whole): spoken = whole
            }
        }
        return (chunks, try #require(spoken))
    }

    private let text =
        "A week has seven days. The capital of France is Paris, and the sky is blue in the morning."

    @Test(arguments: [1, 1.5])
    func chunksAreTheSpeech(speed: Double) async throws {
        let (chunks, spoken) = try await collect(text, options(speed: speed))
        #expect(chunks.flatMap(\.samples) == spoken.speech.samples)
        #expect(chunks.count > 2)
        #expect(chunks.map(\.sentence) == chunks.map(\.sentence).sorted())
        let last = try #require(chunks.last)
        #expect(last.endsSentence)
        for sentence in 0...last.sentence {
            let own = chunks.filter { $0.sentence == sentence }
            #expect(own.count { $0.endsSentence } == 1 && own.last?.endsSentence == true)
        }
        #expect(Set(chunks.map(\.text)).count == last.sentence + 1)
        let whole = try await Pocket.system.say(text, options: options(speed: speed)).speech
        // Offline, doubtful tokens are drawn again; what was heard already stays.
        if spoken.speech.repairs.isEmpty {
            #expect(spoken.speech.tokens == whole.tokens)
            #expect(abs(spoken.speech.samples.count - whole.samples.count) <= 1)
        }
        let first = try #require(spoken.timings.firstAudio)
        #expect(first > 0 && first < spoken.timings.elapsed)
    }

    @Test func theSeedDecidesEverySample() async throws {
        let first = try await collect(text, options(seed: 3)).chunks
        #expect(try await collect(text, options(seed: 3)).chunks == first)
        #expect(try await collect(text, options(seed: 4)).chunks != first)
    }

    @Test func callsSideBySideGiveWhatEachGivesAlone() async throws {
        let texts = ["Good morning.", "The sky is blue.", "A week has seven days.", "Good night."]
        let together = try await withThrowingTaskGroup(of: (Int, Speech).self) { group in
            for (index, text) in texts.enumerated() {
                group.addTask {
                    let options = self.options(seed: UInt64(index))
                    return (index, try await Pocket.system.say(text, options: options).speech)
                }
            }
            return try await group.reduce(into: [Int: Speech]()) { $0[$1.0] = $1.1 }
        }
        for (index, text) in texts.enumerated() {
            let alone = StepAudio(locations: Pocket.locations, options: Pocket.options)
            #expect(
                together[index]
                    == (try await alone.say(text, options: options(seed: UInt64(index))).speech))
        }
        let statistics = await Pocket.system.statistics()
        let engine = try #require(statistics.speech)
        #expect(engine.generatedTokens > 0 && engine.prefixes.hits > 0 && engine.running == 0)
        #expect(statistics.callsInFlight == 0)
    }

    @Test func leavingEndsTheWork() async throws {
        let long = String(repeating: "This goes on and on. ", count: 30)
        for try await event in Pocket.system.streamSpeech(long, options: options()) {
            if case .chunk = event { break }
        }
        for _ in 0..<400 {
            let statistics = await Pocket.system.statistics()
            if statistics.callsInFlight == 0, statistics.speech?.running == 0 { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("the work goes on")
    }

    @Test func answersAreSpokenPieceByPiece() async throws {
        var options = ChatOptions()
        options.sampling.temperature = 0
        var chunks: [SpeechChunk] = []
        var answer: Answer?
        for try await event in Pocket.system.stream(
            [.user("What is the capital of France?")], options: options)
        {
            switch event {
            case .text: break
            case .speech(let chunk): chunks.append(chunk)
            case .finished(let whole): answer = whole
            }
        }
        #expect(chunks.flatMap(\.samples) == answer?.speech?.samples)
        #expect(chunks.map(\.text).contains("The capital of France is Paris."))
        #expect(answer?.timings.firstAudio != nil)
    }

    @Test func aRecordingIsEncodedWhileItIsMade() async throws {
        let question = try #require(Pocket.questions.first)
        let clip = try AudioFile.read(path: question.path)
        let recording = try await Pocket.system.liveRecording()
        let samples = clip.mono()
        for start in stride(from: 0, to: samples.count, by: 1111) {
            try await recording.append(
                Array(samples[start..<min(start + 1111, samples.count)]),
                sampleRate: clip.sampleRate)
        }
        let live = try await recording.finish()
        let whole = try await Pocket.system.encode(.file(question.path))
        #expect(live.ids == whole.ids && live.text == whole.text)
        await #expect(throws: StepAudioError.self) {
            try await recording.append([0], sampleRate: clip.sampleRate)
        }
        let other = try await Pocket.system.liveRecording()
        try await other.append([0, 0.1], sampleRate: 16_000)
        let error = await #expect(throws: StepAudioError.self) {
            try await other.append([0], sampleRate: 8000)
        }
        #expect(
            error?.description
                == "the sample rate of a portion is 8000 Hz; accepted: 16000 Hz, as of the first portion"
        )
    }
}

@Suite(.serialized) struct CacheTests {
    private func directory() -> String {
        FileManager.default.temporaryDirectory.path + "/stepaudio-cache-\(UUID())"
    }

    private func system(_ cache: String?) -> StepAudio {
        StepAudio(
            locations: Pocket.locations,
            options: StepAudio.Options(userVoices: "/nowhere", cacheDirectory: cache))
    }

    @Test func theHashIsTheStandards() {
        #expect(
            SHA256.hex("abc".utf8)
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            SHA256.hex([])
                == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            SHA256.hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    }

    @Test func voicesAreKeptOnDiskAndDamageIsMended() async throws {
        let cache = directory()
        defer { try? FileManager.default.removeItem(atPath: cache) }
        let first = system(cache)
        let voice = try await first.voicePrompt(SpeechOptions())
        #expect(await first.statistics().speakers.misses == 1)
        _ = try await first.voicePrompt(SpeechOptions())
        #expect(await first.statistics().speakers.hits == 1)
        let files = try FileManager.default.contentsOfDirectory(atPath: cache + "/voices")
        #expect(files.count == 1)
        let file = cache + "/voices/" + (files.first ?? "")
        let second = system(cache)
        let again = try await second.voicePrompt(SpeechOptions())
        #expect(again.tokens == voice.tokens && again.mel == voice.mel)
        #expect(again.embedding == voice.embedding)
        let statistics = await second.statistics()
        #expect(statistics.speakers.hits == 1 && statistics.weightBytes == 0)
        // One changed byte, and a cut-off file.
        let whole = try #require(FileManager.default.contents(atPath: file))
        var damaged = whole
        damaged[40] ^= 1
        for bad in [damaged, whole.prefix(100), Data()] {
            try bad.write(to: URL(fileURLWithPath: file))
            let third = system(cache)
            #expect(try await third.voicePrompt(SpeechOptions()).mel == voice.mel)
            #expect(await third.statistics().speakers.misses == 1)
            #expect(FileManager.default.contents(atPath: file) == whole)
        }
    }

    @Test func withoutADirectoryNothingIsWritten() async throws {
        let first = system(nil)
        _ = try await first.voicePrompt(SpeechOptions())
        #expect(await first.statistics().speakers.entries == 1)
    }

    @Test func answersAreSharedWithinAScopeOnly() async throws {
        let system = system(nil)
        var options = SpeechOptions()
        let plain = try await system.say("Hello.", options: options)
        #expect(await system.statistics().answers.entries == 0)
        options.cacheScope = "one"
        let first = try await system.say("Hello.", options: options)
        #expect(first.speech == plain.speech)
        let again = try await system.say("Hello.", options: options)
        #expect(again.speech == first.speech && again.timings == Timings())
        #expect(await system.statistics().answers.hits == 1)
        options.cacheScope = "two"
        _ = try await system.say("Hello.", options: options)
        options.sampling.seed = 9
        _ = try await system.say("Hello.", options: options)
        let statistics = await system.statistics().answers
        #expect(statistics.hits == 1 && statistics.entries == 3)
        #expect(statistics.bytes > 0 && statistics.bytes <= statistics.limitBytes)
    }

    @Test func aStreamIsGivenAgainPieceByPiece() async throws {
        let system = system(nil)
        func pieces(_ options: SpeechOptions) async throws -> [SpeechEvent] {
            try await system.streamSpeech("Hello.", options: options).reduce(into: []) {
                $0.append($1)
            }
        }
        var options = SpeechOptions()
        options.cacheScope = "one"
        let first = try await pieces(options)
        #expect(await system.statistics().answers.hits == 0)
        let again = try await pieces(options)
        #expect(await system.statistics().answers.hits == 1)
        #expect(again.count == first.count && again.dropLast() == first.dropLast())
        guard case .finished(let spoken) = again.last, case .finished(let made) = first.last else {
            Issue.record("a stream ends with the whole")
            return
        }
        #expect(spoken.speech == made.speech && spoken.timings == Timings())
        options.cacheScope = "two"
        #expect(try await pieces(options).dropLast() == first.dropLast())
        #expect(await system.statistics().answers.hits == 1)
    }

    @Test func theOldestGoesFirst() {
        let cache = BoundedCache<Int>(limit: 100)
        for index in 0..<5 { cache.keep(index, bytes: 30, for: "\(index)") }
        #expect(cache.value("4") == 4 && cache.value("2") == 2 && cache.value("0") == nil)
        cache.keep(9, bytes: 30, for: "9")
        #expect(cache.value("3") == nil && cache.value("4") == 4)
        cache.keep(7, bytes: 101, for: "7")
        #expect(cache.value("7") == nil)
        #expect(cache.statistics.bytes == 90 && cache.statistics.evictions == 3)
    }
}

// Parity: every case of the tiny bundle (Tools/oracles) passes, and a damaged bundle does not.

import Foundation
import StepAudio
import Testing

struct ConformanceTests {
    static let folder =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().path
        + "/Resources/tiny"

    static let stages = [
        "text.encode", "text.decode", "audio.resample", "audio.normalize", "audio.trim",
        "audio.tempo", "audio.volume", "linguistic.features", "linguistic.encoder",
        "linguistic.codes", "semantic.log_mel", "semantic.codes", "tokenizer.tokens",
        "tts_lm.logits", "chat_lm.logits", "tts_lm.greedy", "chat_lm.greedy", "tts.prompt",
        "chat.prompt", "sampling.step", "prompt_mel", "speaker.features", "speaker.embedding",
        "flow.encoder", "flow.estimator", "flow.mel", "vocoder.f0", "vocoder.source",
        "vocoder.waveform",
    ]

    static let results = Result {
        let conformance = Conformance(locations: ModelLocations(models: folder))
        return try conformance.bundledCaseFiles().flatMap {
            try ConformanceCase.read(file: $0).map { conformance.run($0) }
        }
    }

    @Test(arguments: stages)
    func everyCasePasses(stage: String) throws {
        let cases = try Self.results.get().filter { $0.stage == stage }
        #expect(cases.count >= 2)
        for each in cases {
            #expect(each.passed, "\(each.line)")
        }
    }

    @Test func thereIsNoOtherStage() throws {
        #expect(Set(try Self.results.get().map(\.stage)) == Set(Self.stages))
    }

    @Test func bothDecodersAreProven() throws {
        let music = try Self.results.get().filter { $0.name.hasPrefix("music") }
        #expect(Set(music.map(\.stage)).count == 6)
    }

    /// Copies the bundle, changes a byte range of one file, and runs the cases of a stage.
    private func damaged(
        _ file: String, stage: String, change: (inout Data) -> Void
    ) throws -> [StageResult] {
        let copy = FileManager.default.temporaryDirectory.path + "/stepaudio-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: copy) }
        try FileManager.default.copyItem(atPath: Self.folder, toPath: copy)
        let url = URL(fileURLWithPath: copy + "/" + file)
        var data = try Data(contentsOf: url)
        change(&data)
        try data.write(to: url)
        let conformance = Conformance(locations: ModelLocations(models: copy))
        return try conformance.bundledCaseFiles().flatMap {
            try ConformanceCase.read(file: $0).filter { $0.stage == stage }
                .map { conformance.run($0) }
        }
    }

    @Test func aChangedWeightFails() throws {
        let results = try damaged(
            "Step-Audio-Tokenizer/linguistic_tokenizer.npy", stage: "linguistic.codes"
        ) { data in
            for index in data.indices.suffix(2000) {
                data[index] = 0
            }
        }
        #expect(results.contains { !$0.passed })
    }

    @Test func aCutFileIsNamed() throws {
        let results = try damaged(
            "Step-Audio-TTS-3B/CosyVoice-300M-25Hz/hift.pt", stage: "vocoder.f0"
        ) { $0 = $0.prefix($0.count / 2) }
        let first = try #require(results.first?.problem)
        #expect(first.contains("hift.pt"))
    }

    @Test func singingNeedsItsOwnVoice() async throws {
        let system = StepAudio(
            locations: ModelLocations(models: Self.folder),
            options: StepAudio.Options(userVoices: "/nowhere"))
        var options = SpeechOptions()
        options.vocalStyle = "哼唱"
        await #expect(
            throws: StepAudioError.unknownSpeaker(
                "Alma哼唱", known: ["Alma", "AlmaRAP", "Bruno"])
        ) { try await system.say("一首歌", options: options) }
    }

    /// Random weights give tokens that no repair can save; the error says what was tried.
    @Test func randomWeightsGiveAnErrorAndNoNoise() async throws {
        let system = StepAudio(
            locations: ModelLocations(models: Self.folder),
            options: StepAudio.Options(userVoices: "/nowhere"))
        var options = SpeechOptions()
        options.vocalStyle = "RAP"
        options.maximumTokens = 1
        let error = await #expect(throws: StepAudioError.self) {
            try await system.say("一首歌", options: options)
        }
        #expect(
            error?.description.hasPrefix(
                "speech failed: the speech model gave no usable tokens in 3 attempts: ") == true)
    }
}

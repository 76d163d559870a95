// Flow and vocoder of the published sizes or of the bundle, and the bundle's encoders and whole chain.

import AudioSignal
import Checkpoints
import Foundation
import SpeechSynthesis
import TensorCore

extension Benchmark {
    func measureSpeech(
        _ shape: Shape, _ machine: BenchmarkReport.Machine,
        _ results: inout [BenchmarkReport.Result]
    ) throws {
        guard shape != .chat130B else { return }
        var configuration = DecoderConfiguration()
        var files: DecoderFiles?
        if shape == .pocket {
            let found = try locations.layout.speechDecoder()
            configuration = try DecoderConfiguration(path: found.configuration)
            files = found
        }
        if options.stages.contains(.flow) {
            progress("\(shape.rawValue) flow")
            let flow =
                try files.map {
                    try FlowDecoder(PyTorchArchive(path: $0.flow), configuration: configuration)
                } ?? RandomWeights.flow(configuration)
            results.append(try measure(flow, shape, machine))
        }
        if options.stages.contains(.vocoder) {
            progress("\(shape.rawValue) vocoder")
            let vocoder =
                try files.map {
                    try Vocoder(
                        PyTorchArchive(path: $0.vocoder), configuration: configuration.vocoder)
                } ?? RandomWeights.vocoder(configuration.vocoder)
            results.append(try measure(vocoder, shape, machine))
        }
    }

    /// Ten steps with guidance, after a prompt of one second.
    private func measure(
        _ flow: FlowDecoder, _ shape: Shape, _ machine: BenchmarkReport.Machine
    ) throws -> BenchmarkReport.Result {
        let rate = flow.configuration.inputFrameRate
        let count = Int(options.seconds * rate)
        let promptCount = Int(rate)
        var random = SeededGenerator(seed: 3)
        let bands = flow.configuration.outputSize
        func tokens(_ count: Int) -> [Int] {
            (0..<count).map { _ in
                Int(random.uniform() * Double(flow.configuration.vocabularySize - 1))
            }
        }
        let (prompt, new) = (tokens(promptCount), tokens(count))
        let promptFrames = flow.frameCount(tokens: promptCount)
        let frames = promptFrames + flow.frameCount(tokens: count)
        let voice = FlowDecoder.Prompt(
            tokens: prompt,
            mel: Tensor(
                shape: [promptFrames, bands], values: random.normals(promptFrames * bands)),
            embedding: random.normals(flow.configuration.speakerEmbeddingSize))
        let noise = Tensor(shape: [frames, bands], values: random.normals(frames * bands))
        return try speech(.flow, shape, machine) {
            _ = try flow.mel(tokens: new, prompt: voice, noise: noise)
        }
    }

    private func measure(
        _ vocoder: Vocoder, _ shape: Shape, _ machine: BenchmarkReport.Machine
    ) throws -> BenchmarkReport.Result {
        let c = vocoder.configuration
        let frames = Int(options.seconds * Double(c.sampleRate) / Double(c.samplesPerFrame))
        var random = SeededGenerator(seed: 4)
        let mel = Tensor(
            shape: [frames, c.inputChannels], values: random.normals(frames * c.inputChannels))
        return try speech(.vocoder, shape, machine) {
            var draws = SeededGenerator(seed: 1)
            _ = try vocoder(mel, generator: &draws)
        }
    }

    private func speech(
        _ stage: Stage, _ shape: Shape, _ machine: BenchmarkReport.Machine,
        _ work: () throws -> Void
    ) throws -> BenchmarkReport.Result {
        var operations = 0
        try work()
        var times: [Double] = []
        for _ in 0..<max(1, options.runs / 2) {
            _ = WorkCounter.take()
            let start = ContinuousClock.now
            try work()
            times.append(start.secondsUntilNow)
            operations = WorkCounter.take()
        }
        var result = result(stage, shape, .fp32, times: times.sorted())
        result.gigaflops = 2 * Double(operations) / result.seconds / 1e9
        result.realTimeFactor = result.seconds / options.seconds
        result.limit = "fp32 products"
        result.shareOfLimit = (result.gigaflops ?? 0) / machine.fp32Gigaflops
        return result
    }

    /// The bundle's encoders on its first voice's recording, and a sentence from text to sound.
    func measureBundle(
        _ precision: WeightPrecision, _ results: inout [BenchmarkReport.Result]
    ) async throws {
        let wanted: [Stage] = [.encode, .chain]
        guard options.stages.contains(where: wanted.contains) else { return }
        let system = StepAudio(locations: locations, options: .init(precision: precision))
        if options.stages.contains(.encode),
            let speaker = try VoiceStore(locations: locations).speakers.first
        {
            progress("pocket encode")
            let clip = try AudioFile.read(path: speaker.promptAudio)
            let times = try await times { _ = try await system.encode(.clip(clip)) }
            var result = result(.encode, .pocket, .fp32, times: times)
            result.realTimeFactor = result.seconds / clip.duration
            results.append(result)
        }
        if options.stages.contains(.chain) {
            progress("pocket chain")
            var seconds = 0.0
            let times = try await times {
                let text = "The capital of France is Paris. Good morning. I hope you slept well."
                seconds = try await system.say(text).speech.seconds
            }
            var result = result(.chain, .pocket, precision, times: times)
            result.realTimeFactor = result.seconds / max(seconds, 0.01)
            results.append(result)
        }
    }
}

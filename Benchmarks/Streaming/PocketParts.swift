// The parts that run on a bundle: first sound, parity, many requests at once.

import AudioSignal
import Checkpoints
import Foundation
import SpeechSynthesis
import StepAudio
import TensorCore
import TestSupport

/// Ten seconds of speech without a full stop.
let longSentence =
    "A week has seven days and a year has twelve months, and in the morning the sun is in the east, "
    + "and in the evening it is in the west, and the sky is blue and the water in the river is cold and "
    + "clear and the cat says meow to the dog"
let sixSentences =
    "The capital of France is Paris. A week has seven days. The sky is blue in the morning. "
    + "I hope you slept well today. The cat says meow to the dog. Good night and see you tomorrow."

func options(seed: UInt64 = 1) -> SpeechOptions {
    var options = SpeechOptions()
    options.sampling.seed = seed
    return options
}

/// Seconds to the first chunk with sound, on the clock and of the processor, to the end, and the speech.
func streamed(
    _ system: StepAudio, _ text: String, seed: UInt64 = 1
) async throws -> (first: Double, processor: Double, whole: Double, speech: Speech) {
    let start = ContinuousClock.now
    let used = processorSeconds()
    var processor = 0.0
    var first: Double?
    var speech: Speech?
    for try await event in system.streamSpeech(text, options: options(seed: seed)) {
        switch event {
        case .chunk(let chunk):
            if first == nil, !chunk.samples.isEmpty {
                first = start.secondsUntilNow
                processor = processorSeconds() - used
            }
        case .finished(let spoken): speech = spoken.speech
        }
    }
    guard let first, let speech else { throw CancellationError() }
    return (first, processor, start.secondsUntilNow, speech)
}

func measureFirstSound(_ system: StepAudio) async throws {
    for sentence in ["Good morning, I hope you slept well.", longSentence] {
        _ = try await system.say(sentence, options: options())
        var (offline, first, whole): ([Double], [Double], [Double]) = ([], [], [])
        var processor: [Double] = []
        var offlineProcessor: [Double] = []
        var length = 0.0
        for seed in 2..<7 as Range<UInt64> {
            let used = processorSeconds()
            let (time, spoken) = try await seconds {
                try await system.say(sentence, options: options(seed: seed))
            }
            offlineProcessor.append(processorSeconds() - used)
            let stream = try await streamed(system, sentence, seed: seed)
            processor.append(stream.processor)
            offline.append(time)
            first.append(stream.first)
            whole.append(stream.whole)
            length += spoken.speech.seconds / 5
        }
        print(
            "first sound, \(text(length, 1)) s of speech: \(text(median(first) * 1000, 0)) ms, "
                + "\(text(100 * median(first) / median(offline), 0)) % of the "
                + "\(text(median(offline))) s it takes offline; streamed as a whole "
                + "\(text(median(whole))) s")
        print(
            "  processor time to it \(text(median(processor) * 1000, 0)) ms of "
                + "\(text(median(offlineProcessor))) s offline")
    }
}

/// Signal to noise of two log mels, in decibels over the first one's variance.
func melRatio(_ left: Tensor, _ right: Tensor) -> Double {
    let count = min(left.values.count, right.values.count)
    let mean = left.values[..<count].reduce(0.0) { $0 + Double($1) } / Double(count)
    var (signal, noise) = (0.0, 0.0)
    for index in 0..<count {
        let value = Double(left.values[index])
        signal += (value - mean) * (value - mean)
        noise += (value - Double(right.values[index])) * (value - Double(right.values[index]))
    }
    return 10 * log10(signal / max(noise, 1e-12))
}

func measureParity(_ system: StepAudio) async throws {
    let spoken = try await system.say(longSentence, options: options()).speech
    let layout = system.locations.layout
    let decoder = try SpeechDecoder(layout.speechDecoder())
    let analyzer = try VoiceAnalyzer(layout.speechDecoder())
    let voice = try await system.voicePrompt(options())
    func offline(_ seed: UInt64) throws -> [Float] {
        try SpeechSynthesizer.decode(
            spoken.tokens, voice: voice, decoder: decoder, flow: FlowDecoder.Options(), seed: seed
        ).samples
    }
    let (time, whole) = try await seconds { try offline(1) }
    let mel = analyzer.melSpectrogram(whole)
    let other = analyzer.melSpectrogram(try offline(2))
    print("offline: \(text(time)) s; another seed: \(text(melRatio(mel, other), 1)) dB of mel")
    for (first, growth, held, history) in [
        (25, 2, 10, 100), (25, 1.6, 10, 1000), (40, 2, 16, 1000), (20, 2, 6, 50),
    ] {
        var pace = StreamPace()
        (pace.firstTokens, pace.growth) = (first, growth)
        (pace.heldFrames, pace.history) = (held, history)
        var stream = try DecoderStream(
            decoder: decoder, prompt: voice, options: FlowDecoder.Options(), pace: pace, seed: 1)
        var (taken, index, firstSeconds) = (0, 0, 0.0)
        var samples: [Float] = []
        let start = ContinuousClock.now
        while taken < spoken.tokens.count {
            let end = min(spoken.tokens.count, taken + pace.tokens(ofChunk: index))
            samples += try stream.append(
                Array(spoken.tokens[taken..<end]), isFinal: end == spoken.tokens.count)
            if index == 0 { firstSeconds = start.secondsUntilNow }
            (taken, index) = (end, index + 1)
        }
        let whole = start.secondsUntilNow
        let ratio = melRatio(mel, analyzer.melSpectrogram(samples))
        print(
            "first \(first), growth \(growth), held \(held), history \(history): \(index) chunks,")
        print("  \(text(ratio, 1)) dB, first \(text(firstSeconds)) s, all \(text(whole)) s")
    }
}

func measureMany(_ system: StepAudio) async throws {
    let sentence = "I hope you slept well this morning."
    _ = try await system.say(sentence, options: options())
    let (single, _) = try await seconds {
        for seed in 0..<8 as Range<UInt64> {
            _ = try await system.say(sentence, options: options(seed: seed))
        }
    }
    let (together, _) = try await seconds {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seed in 0..<8 as Range<UInt64> {
                group.addTask { _ = try await system.say(sentence, options: options(seed: seed)) }
            }
            try await group.waitForAll()
        }
    }
    var alone: [Double] = []
    for seed in 0..<8 as Range<UInt64> {
        alone.append(try await streamed(system, sentence, seed: seed).first)
    }
    let firsts = try await withThrowingTaskGroup(of: Double.self) { group in
        for seed in 0..<8 as Range<UInt64> {
            group.addTask { try await streamed(system, sentence, seed: seed).first }
        }
        return try await group.reduce(into: [Double]()) { $0.append($1) }
    }
    print(
        "8 requests at once: \(text(single / together)) times the throughput of one after the other "
            + "(\(text(together)) s, \(text(single)) s); first sound of the slowest "
            + "\(text((firsts.max() ?? 0) * 1000, 0)) ms, alone \(text(median(alone) * 1000, 0)) ms"
    )
}

// What streamed samples go through on their way out: the joints of sentences, tempo and volume. It gives
// the samples that the same effects give on the whole.

import AudioSignal
import SpeechSynthesis

/// Turns synthesized chunks into chunks for the caller.
struct SpeechOutlet {
    private var joiner: SpeechJoiner
    private var tempo: TempoStream
    private let volume: Double
    private let sampleRate: Int
    private var current: (sentence: Int, text: String)?
    /// Everything that was given out.
    private(set) var samples: [Float] = []

    init(sampleRate: Int, options: SpeechOptions) throws(AudioError) {
        joiner = SpeechJoiner(sampleRate: sampleRate)
        tempo = try TempoStream(sampleRate: sampleRate, factor: options.speedRatio)
        volume = options.volumeRatio
        self.sampleRate = sampleRate
    }

    /// The chunks that a further one makes ready.
    mutating func append(_ chunk: SynthesizedChunk) throws(AudioError) -> [SpeechChunk] {
        var result: [SpeechChunk] = []
        if let known = current, known.sentence != chunk.sentence, !chunk.samples.isEmpty {
            result.append(
                try made(tempo.append(joiner.nextSentence()), of: known, endsSentence: true))
        }
        if current == nil || !chunk.samples.isEmpty {
            current = (chunk.sentence, chunk.text)
        }
        let ready = joiner.append(chunk.samples)
        if !ready.isEmpty, let current {
            result.append(try made(tempo.append(ready), of: current, endsSentence: false))
        }
        return result.filter { $0.endsSentence || !$0.samples.isEmpty }
    }

    /// The last chunk; nil when there was none.
    mutating func finish() throws(AudioError) -> SpeechChunk? {
        guard let current else { return nil }
        return try made(
            tempo.append(joiner.finish()) + tempo.finish(), of: current, endsSentence: true)
    }

    private mutating func made(
        _ samples: [Float], of sentence: (sentence: Int, text: String), endsSentence: Bool
    ) throws(AudioError) -> SpeechChunk {
        let louder = try Level.volume(samples, factor: volume)
        self.samples += louder
        return SpeechChunk(
            samples: louder, sampleRate: sampleRate, sentence: sentence.sentence,
            text: sentence.text, endsSentence: endsSentence)
    }
}

// Samples of mel frames that are still coming. The vocoder is a stack of short filters: a frame's samples
// depend on a few frames around it only. So each call runs it over the new frames with their neighbours;
// pitch, phase and noise of the source go on where they stopped.

import TensorCore

/// The state of one sentence in the vocoder.
package struct VocoderStream: Sendable {
    private let vocoder: Vocoder
    private var noise: SeededGenerator
    private let phases: [Float]
    private var turns: [Double]
    /// Mel frames from `firstFrame` to `done`, the past that is still needed: [T, M].
    private var past: Tensor
    private var pastSource: [Float] = []
    private var firstFrame = 0
    private var done = 0
    /// Samples after the last that were given out, made before their future was settled.
    private var tail: [Float] = []

    /// Samples over which the seam of two calls is faded.
    static let fade = 128

    package init(vocoder: Vocoder, generator: SeededGenerator) {
        self.vocoder = vocoder
        var generator = generator
        phases = vocoder.source.drawPhases(from: &generator)
        noise = generator
        turns = [Double](repeating: 0, count: phases.count)
        past = Tensor(zeros: [0, vocoder.configuration.inputChannels])
    }

    /// Samples of the frames `mel` [T, M]; `future` are the frames behind them as far as they are
    /// known, none at the end.
    package mutating func append(_ mel: Tensor, future: Tensor) throws(SpeechSynthesisError)
        -> [Float]
    {
        guard mel.rows > 0 else { return [] }
        let frame = vocoder.configuration.samplesPerFrame
        let window = Tensor.concatenatedRows([past, mel, future])
        let (start, end) = (past.rows, past.rows + mel.rows)
        let f0 = vocoder.pitch(window)
        // The source of the new frames is settled now; that of the future is a guess.
        let fresh = source(Array(f0[start..<end]), samples: mel.rows * frame)
        var guess = self
        let ahead = guess.source(Array(f0[end...]), samples: future.rows * frame)
        let all = try vocoder.samples(window, source: pastSource + fresh + ahead)
        var result = Array(all[start * frame..<end * frame])
        for index in 0..<min(tail.count, result.count) {
            let share = (Float(index) + 0.5) / Float(tail.count)
            result[index] = (1 - share) * tail[index] + share * result[index]
        }
        tail = Array(all[end * frame..<min(all.count, end * frame + Self.fade)])
        let kept = max(0, end - vocoder.reach)
        past = window.rows(kept..<end)
        pastSource = Array((pastSource + fresh)[(kept * frame)...])
        return result
    }

    private mutating func source(_ f0: [Float], samples: Int) -> [Float] {
        guard samples > 0 else { return [] }
        let draws = HarmonicSource.Draws(
            phases: phases, noise: vocoder.source.drawNoise(samples: samples, &noise))
        return vocoder.source(f0: f0, draws: draws, turns: &turns)
    }
}

extension Vocoder {
    /// Frames on either side of a frame that its samples depend on, pitch included.
    package var reach: Int {
        var frames = 3.0  // the first convolution has 7 taps
        var rate = 1.0
        for (index, factor) in configuration.upsampleRates.enumerated() {
            frames += Double(configuration.upsampleKernels[index]) / (2 * Double(factor)) / rate
            rate *= Double(factor)
            let block = configuration.residualKernels.indices.map { block -> Int in
                let side = (configuration.residualKernels[block] - 1) / 2
                return configuration.residualDilations[block].reduce(0) { $0 + side * ($1 + 1) }
            }
            frames += Double(block.max() ?? 0) / rate
        }
        // The last convolution, the transform and a frame for their rounding.
        return Int(frames.rounded(.up)) + 2 + pitch.convolutions.count
    }
}

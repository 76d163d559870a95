// The vocoder's excitation: sines at the pitch and its overtones where speech is voiced, noise where it
// is not, merged into one signal. f0 [T] -> [T * samples per frame]. Source: Wang et al., "Neural
// Source-Filter Waveform Models" (2019), as in HiFT.

import Checkpoints
import Foundation
import TensorCore

/// Makes the source signal.
package struct HarmonicSource: Sendable {
    let configuration: VocoderConfiguration
    /// One weight a harmonic, the fundamental first.
    let weights: [Float]
    let bias: Float

    /// The fundamental and its overtones.
    var harmonics: Int { configuration.harmonics + 1 }

    /// Random draws of one call.
    package struct Draws: Sendable {
        /// Start phase of each harmonic in radians; the fundamental's is 0.
        var phases: [Float]
        /// Standard normal noise, [harmonics, samples].
        var noise: [Float]

        package init(phases: [Float], noise: [Float]) {
            self.phases = phases
            self.noise = noise
        }
    }

    package init(configuration: VocoderConfiguration, weights: [Float], bias: Float) {
        self.configuration = configuration
        self.weights = weights
        self.bias = bias
    }

    /// Draws for `samples` samples.
    func draw(samples: Int, from generator: inout SeededGenerator) -> Draws {
        Draws(
            phases: drawPhases(from: &generator), noise: drawNoise(samples: samples, &generator))
    }

    /// Start phases of all harmonics.
    func drawPhases(from generator: inout SeededGenerator) -> [Float] {
        [0]
            + (1..<harmonics).map { _ in
                Float((2 * generator.uniform() - 1) * Double.pi)
            }
    }

    /// Noise [harmonics, samples], drawn sample by sample: the same whether it is drawn at once or in
    /// portions.
    func drawNoise(samples: Int, _ generator: inout SeededGenerator) -> [Float] {
        var noise = [Float](repeating: 0, count: harmonics * samples)
        for sample in 0..<samples {
            for harmonic in 0..<harmonics {
                noise[harmonic * samples + sample] = generator.normal()
            }
        }
        return noise
    }

    /// The source of a pitch curve in hertz, one value a frame.
    package func callAsFunction(f0: [Float], draws: Draws) -> [Float] {
        var turns = [Double](repeating: 0, count: harmonics)
        return callAsFunction(f0: f0, draws: draws, turns: &turns)
    }

    /// The same from a phase on: `turns` of each harmonic are those before the first sample, then
    /// those after the last.
    func callAsFunction(f0: [Float], draws: Draws, turns start: inout [Double]) -> [Float] {
        let frame = configuration.samplesPerFrame
        let count = f0.count * frame
        let rate = Double(configuration.sampleRate)
        let threshold = Float(configuration.voicedThreshold)
        let amplitude = Float(configuration.sineAmplitude)
        let voicedNoise = Float(configuration.noiseDeviation)
        let unvoicedNoise = amplitude / 3
        var sum = [Float](repeating: bias, count: count)
        let known = start
        sum.withUnsafeMutableBufferPointer { target in
            guard let base = target.baseAddress.map({ SharedPointer($0) }) else { return }
            // Harmonics add up in order, each over its own stretch of time.
            Parallel.forEachRange(f0.count, grain: 16) { frames in
                for harmonic in 0..<harmonics {
                    let multiple = Double(harmonic + 1)
                    // The phase in turns at the start of the stretch, wrapped.
                    var turns = known[harmonic]
                    for index in 0..<frames.lowerBound {
                        turns += Double(frame) * Double(f0[index]) * multiple / rate
                        turns -= turns.rounded(.down)
                    }
                    let start = Double(draws.phases[harmonic])
                    let weight = weights[harmonic]
                    for index in frames {
                        let step = Double(f0[index]) * multiple / rate
                        let isVoiced = f0[index] > threshold
                        let deviation = isVoiced ? voicedNoise : unvoicedNoise
                        for k in 0..<frame {
                            turns += step
                            turns -= turns.rounded(.down)
                            let place = index * frame + k
                            var value = deviation * draws.noise[harmonic * count + place]
                            if isVoiced {
                                value += amplitude * Float(sin(2 * Double.pi * turns + start))
                            }
                            base.base[place] += weight * value
                        }
                    }
                }
                for place in frames.lowerBound * frame..<frames.upperBound * frame {
                    base.base[place] = tanh(base.base[place])
                }
            }
        }
        for harmonic in 0..<harmonics {
            for value in f0 {
                start[harmonic] += Double(frame) * Double(value) * Double(harmonic + 1) / rate
                start[harmonic] -= start[harmonic].rounded(.down)
            }
        }
        return sum
    }
}

// Log mel filter-bank features as Kaldi and torchaudio.compliance.kaldi compute them: 25 ms frames
// every 10 ms without padding, mean removed, pre-emphasis, window, power spectrum, triangles linear
// in mel. The linguistic tokenizer uses a Hamming window on 16-bit scale, CAM++ a Povey window.

import Foundation
import TensorCore

/// Computes log mel filter-bank features of 16 kHz signals.
public struct KaldiFilterBank: Sendable {
    /// Window functions.
    public enum Window: Sendable {
        case hamming
        /// A Hann window to the power 0.85.
        case povey
    }

    /// Samples of a frame.
    public let frameLength: Int
    /// Samples from frame to frame.
    public let frameShift: Int
    /// Number of filters.
    public let melCount: Int
    private let scale: Double
    private let window: [Float]
    private let transform: FourierTransform
    private let filters: [[(bin: Int, weight: Double)]]

    /// Prepares the filters.
    ///
    /// `scale` multiplies the samples first (32768 for features of 16-bit signals).
    public init(
        sampleRate: Int = 16_000, frameLength: Int = 400, frameShift: Int = 160,
        melCount: Int = 80, window: Window, scale: Double, lowFrequency: Double = 20
    ) {
        self.frameLength = frameLength
        self.frameShift = frameShift
        self.melCount = melCount
        self.scale = scale
        self.window = (0..<frameLength).map { index in
            let cosine = cos(2 * .pi * Double(index) / Double(frameLength - 1))
            return switch window {
            case .hamming: Float(0.54 - 0.46 * cosine)
            case .povey: Float(pow(0.5 - 0.5 * cosine, 0.85))
            }
        }
        var points = 1
        while points < frameLength {
            points *= 2
        }
        transform = FourierTransform(count: points)
        func mel(_ hertz: Double) -> Double { 1127 * log(1 + hertz / 700) }
        let (low, high) = (mel(lowFrequency), mel(Double(sampleRate) / 2))
        let spacing = (high - low) / Double(melCount + 1)
        filters = (0..<melCount).map { filter in
            let left = low + Double(filter) * spacing
            return (0..<points / 2).compactMap { bin in
                let position = mel(Double(bin) * Double(sampleRate) / Double(points))
                let weight = min(
                    (position - left) / spacing, (left + 2 * spacing - position) / spacing)
                return weight > 0 ? (bin, weight) : nil
            }
        }
    }

    /// Number of frames of `count` samples.
    public func frameCount(_ count: Int) -> Int {
        count < frameLength ? 0 : 1 + (count - frameLength) / frameShift
    }

    /// Features of a signal: [frames, mels], natural logarithm with floor 1.1920929e-07.
    ///
    /// With `dither` above 0 every sample of every frame gets that much normal noise, on the scaled
    /// signal, from `generator`.
    public func features(
        _ samples: [Float], dither: Float = 0, generator: inout SeededGenerator
    ) -> Tensor {
        let frames = frameCount(samples.count)
        var result = Tensor(zeros: [frames, melCount])
        var frame = [Double](repeating: 0, count: transform.count)
        var signal = [Float](repeating: 0, count: frameLength)
        for index in 0..<frames {
            // fp32 up to the transform, as the reference: quiet bands feel the rounding.
            var mean = 0.0
            for k in 0..<frameLength {
                var value = samples[index * frameShift + k] * Float(scale)
                if dither > 0 {
                    value += dither * generator.normal()
                }
                signal[k] = value
                mean += Double(value)
            }
            let offset = Float(mean / Double(frameLength))
            for k in 0..<frameLength {
                signal[k] -= offset
            }
            for k in stride(from: frameLength - 1, through: 0, by: -1) {
                let emphasised = signal[k] - 0.97 * signal[max(0, k - 1)]
                frame[k] = Double(emphasised * window[k])
            }
            let power = transform.power(frame)
            for filter in 0..<melCount {
                let energy = filters[filter].reduce(0) { $0 + power[$1.bin] * $1.weight }
                result[index, filter] = Float(log(max(energy, 1.1920928955078125e-07)))
            }
        }
        return result
    }

    /// Features without dither: [frames, mels].
    public func features(_ samples: [Float]) -> Tensor {
        var unused = SeededGenerator(seed: 0)
        return features(samples, dither: 0, generator: &unused)
    }
}

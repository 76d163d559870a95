// Mel spectrograms with librosa's filters (Slaney's mel scale and area normalisation): Whisper's
// log-mel for the semantic tokenizer, and the prompt mel for the flow decoder.

import Foundation
import TensorCore

/// librosa's mel filters.
public struct SlaneyFilters: Sendable {
    let filters: [[(bin: Int, weight: Double)]]

    /// Triangles between `low` and `high` Hz over the bins of `points` points.
    public init(sampleRate: Double, points: Int, count: Int, low: Double, high: Double) {
        func mel(_ hertz: Double) -> Double {
            hertz < 1000 ? hertz * 3 / 200 : 15 + log(hertz / 1000) / (log(6.4) / 27)
        }
        func hertz(_ mel: Double) -> Double {
            mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27)
        }
        let (first, last) = (mel(low), mel(high))
        let edges = (0..<count + 2).map { index in
            hertz(first + (last - first) * Double(index) / Double(count + 1))
        }
        filters = (0..<count).map { filter in
            let (left, centre, right) = (edges[filter], edges[filter + 1], edges[filter + 2])
            return (0...points / 2).compactMap { bin in
                let frequency = Double(bin) * sampleRate / Double(points)
                let slope = min(
                    (frequency - left) / (centre - left), (right - frequency) / (right - centre))
                return slope > 0 ? (bin, slope * 2 / (right - left)) : nil
            }
        }
    }

    func apply(_ spectrum: [Double]) -> [Double] {
        filters.map { $0.reduce(0) { $0 + spectrum[$1.bin] * $1.weight } }
    }
}

/// Pads by reflection at both ends, without repeating the end samples; `samples` is longer than
/// `count`.
func reflected(_ samples: [Float], by count: Int) -> [Float] {
    let before = (0..<count).map { samples[count - $0] }
    let after = (0..<count).map { samples[samples.count - 2 - $0] }
    return before + samples + after
}

/// Whisper's log-mel spectrogram of a 16 kHz signal.
///
/// Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022).
public struct WhisperMel: Sendable {
    /// Number of filters.
    public let melCount: Int
    private let transform = FourierTransform(count: 400)
    private let filters: SlaneyFilters
    private let window = (0..<400).map { 0.5 - 0.5 * cos(2 * .pi * Double($0) / 400) }

    /// Prepares the filters.
    public init(melCount: Int) {
        self.melCount = melCount
        filters = SlaneyFilters(
            sampleRate: 16_000, points: 400, count: melCount, low: 0, high: 8000)
    }

    /// The spectrogram, [count / 160, mels]; `samples` holds more than 200 samples.
    public func features(_ samples: [Float]) -> Tensor {
        let frames = samples.count / 160
        guard samples.count > 200 else { return Tensor(zeros: [0, melCount]) }
        let padded = reflected(samples, by: 200)
        var result = Tensor(zeros: [frames, melCount])
        var largest = -Double.infinity
        var frame = [Double](repeating: 0, count: 400)
        for index in 0..<frames {
            for k in 0..<400 {
                frame[k] = Double(padded[index * 160 + k]) * window[k]
            }
            for (mel, energy) in filters.apply(transform.power(frame)).enumerated() {
                let level = log10(max(energy, 1e-10))
                largest = max(largest, level)
                result[index, mel] = Float(level)
            }
        }
        let floor = Float(largest - 8)
        result.values = result.values.map { (max($0, floor) + 4) / 4 }
        return result
    }
}

/// Settings of the prompt mel.
public struct MelSettings: Sendable, Equatable {
    /// Points of the transform.
    public var points = 1024
    /// Number of filters.
    public var melCount = 80
    /// Samples a second.
    public var sampleRate = 22_050
    /// Samples from frame to frame.
    public var hop = 256
    /// Samples of the window; at most `points`.
    public var window = 1024
    /// Lowest frequency in Hz.
    public var low = 0.0
    /// Highest frequency in Hz.
    public var high = 8000.0

    /// The published settings.
    public init() {}
}

/// The log-mel spectrogram that the flow decoder is conditioned on.
///
/// Source: HiFi-GAN's mel (Kong et al. 2020): magnitudes, natural logarithm with floor 1e-5.
public struct PromptMel: Sendable {
    /// The settings.
    public let settings: MelSettings
    private let transform: FourierTransform
    private let filters: SlaneyFilters
    private let window: [Double]

    /// Prepares the filters.
    public init(_ settings: MelSettings = MelSettings()) {
        self.settings = settings
        transform = FourierTransform(count: settings.points)
        filters = SlaneyFilters(
            sampleRate: Double(settings.sampleRate), points: settings.points,
            count: settings.melCount, low: settings.low, high: settings.high)
        let offset = (settings.points - settings.window) / 2
        var window = [Double](repeating: 0, count: settings.points)
        for index in 0..<settings.window {
            window[offset + index] =
                0.5 - 0.5 * cos(2 * .pi * Double(index) / Double(settings.window))
        }
        self.window = window
    }

    /// Samples that are reflected at each end; a signal must be longer.
    public var padding: Int { (settings.points - settings.hop) / 2 }

    /// The spectrogram of a signal at the settings' rate: [frames, mels].
    ///
    /// Signals that are too short to be reflected are padded with zeros.
    public func features(_ samples: [Float]) -> Tensor {
        let least = padding + 1
        let signal =
            samples.count >= least
            ? samples : samples + [Float](repeating: 0, count: least - samples.count)
        let padded = reflected(signal, by: padding)
        let frames = (padded.count - settings.points) / settings.hop + 1
        var result = Tensor(zeros: [max(0, frames), settings.melCount])
        var frame = [Double](repeating: 0, count: settings.points)
        for index in 0..<max(0, frames) {
            for k in 0..<settings.points {
                frame[k] = Double(padded[index * settings.hop + k]) * window[k]
            }
            let magnitudes = transform.power(frame).map { ($0 + 1e-9).squareRoot() }
            for (mel, energy) in filters.apply(magnitudes).enumerated() {
                result[index, mel] = Float(log(max(energy, 1e-5)))
            }
        }
        return result
    }
}

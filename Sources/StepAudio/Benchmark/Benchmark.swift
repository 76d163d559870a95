// Measures the stages of the system, each against the limit of the machine that binds it. Language
// models run through the same engine as in use; published sizes have random weights.

import Checkpoints
import Foundation
import LanguageModel
import LanguageModelInterface
import SpeechSynthesis
import TensorCore

/// Runs benchmarks.
public struct Benchmark {
    /// Networks that can be measured.
    public enum Shape: String, Sendable, CaseIterable {
        case tts3B = "tts-3b"
        case chat130B = "chat-130b"
        case pocket

        /// The sizes of its language model, without a file for the published ones.
        var configuration: LanguageModelConfiguration {
            var c = LanguageModelConfiguration()
            c.vocabularySize = 74_752
            c.maximumSequenceLength = 32_768
            switch self {
            case .chat130B:
                (c.hiddenSize, c.intermediateSize, c.layers) = (12_288, 31_232, 88)
                (c.attentionHeads, c.keyValueHeads) = (96, 8)
            case .tts3B, .pocket:
                (c.hiddenSize, c.intermediateSize, c.layers) = (3072, 8192, 32)
                (c.attentionHeads, c.keyValueHeads) = (48, 4)
            }
            return c
        }
    }

    /// Parts of the system.
    public enum Stage: String, Sendable, CaseIterable {
        case encode, prefill, decode, flow, vocoder, chain
        /// How far a precision is from fp32; asked for by name only.
        case precision
    }

    /// What to measure.
    public struct Options: Sendable {
        /// Parts of the system.
        public var stages = Stage.allCases.filter { $0 != .precision }
        /// Sizes of the models.
        public var shapes: [Shape] = [.pocket]
        /// Precisions of the language models' weights.
        public var precisions: [WeightPrecision] = [.bf16]
        /// Sequences at once.
        public var batches = [1]
        /// Tokens of the prompt.
        public var contexts = [128]
        /// Layers to run at most; nil runs as many as memory holds.
        public var layers: Int?
        /// Seconds of speech for flow and vocoder.
        public var seconds = 5.0
        /// Runs of each measurement.
        public var runs = 5

        /// The pocket bundle in bf16.
        public init() {}
    }

    let options: Options
    let locations: ModelLocations
    let progress: @Sendable (String) -> Void

    /// Prepares a benchmark: `locations` is the bundle that the shape `pocket` stands for, `progress`
    /// hears what is measured next.
    public init(
        _ options: Options, locations: ModelLocations,
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.options = options
        self.locations = locations
        self.progress = progress
    }

    /// Measures the machine, then every stage, shape, precision, batch and context asked for.
    public func run() async throws -> BenchmarkReport {
        progress("the machine's limits")
        let machine = BenchmarkReport.Machine(
            threads: Parallel.threadCount, kernels: Parallel.kernelName,
            readGigabytesPerSecond: MachineLimits.readBandwidth() / 1e9,
            fp32Gigaflops: MachineLimits.fp32Peak() / 1e9,
            int4Gigaops: MachineLimits.int4Peak() / 1e9,
            int8Gigaops: MachineLimits.int8Peak() / 1e9,
            handOverMicroseconds: MachineLimits.handOver() * 1e6)
        var report = BenchmarkReport(machine: machine, results: [])
        for shape in options.shapes {
            try measureSpeech(shape, machine, &report.results)
            if options.stages.contains(.precision) {
                try await measurePrecision(shape, &report.results)
            }
            for precision in options.precisions {
                try await measureLanguageModel(shape, precision, machine, &report.results)
                if shape == .pocket {
                    try await measureBundle(precision, &report.results)
                }
            }
        }
        return report
    }

    /// Seconds of several runs, sorted; one run before them warms up.
    func times(_ work: () async throws -> Void) async rethrows -> [Double] {
        try await work()
        var times: [Double] = []
        for _ in 0..<options.runs {
            let start = ContinuousClock.now
            try await work()
            times.append(start.secondsUntilNow)
        }
        return times.sorted()
    }

    /// A result with the median and the spread of sorted times.
    func result(
        _ stage: Stage, _ shape: Shape, _ precision: WeightPrecision, batch: Int = 1,
        context: Int = 0, times: [Double]
    ) -> BenchmarkReport.Result {
        let median = times[times.count / 2]
        return BenchmarkReport.Result(
            stage: stage.rawValue, shape: shape.rawValue, precision: precision.rawValue,
            threads: Parallel.threadCount, batch: batch, context: context, seconds: median,
            spread: (times[times.count - 1] - times[0]) / median, runs: times.count,
            peakBytes: ProcessMemory.peak ?? 0)
    }
}

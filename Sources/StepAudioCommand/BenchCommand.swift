// `stepaudio bench`: how fast each stage is, against the limits of the machine.

import ArgumentParser
import Foundation
import StepAudio

/// Measures stages.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure stages against the limits of this machine.",
        discussion: """
            The published sizes tts-3b and chat-130b have random weights made on the fly; encode and \
            chain are measured on the pocket bundle only. Where memory does not hold all layers, \
            fewer are run, and the result says how many. --batch measures requests at once.
            """)

    @Option(
        parsing: .upToNextOption,
        help: "encode, prefill, decode, flow, vocoder, chain (default: these), or precision.")
    var stage: [String] = []

    @Option(parsing: .upToNextOption, help: "tts-3b, chat-130b or pocket (default: pocket).")
    var shape: [String] = []

    @Option(parsing: .upToNextOption, help: "fp32, bf16, int8, int4 (default: bf16).")
    var precision: [String] = []

    @Option(parsing: .upToNextOption, help: "Sequences that decode at once (default: 1).")
    var batch: [Int] = []

    @Option(parsing: .upToNextOption, help: "Tokens of the prompt (default: 128).")
    var context: [Int] = []

    @Option(help: "Layers to run at most (default: all that memory holds).")
    var layers: Int?

    @Option(help: "Seconds of speech for flow and vocoder.")
    var seconds: Double = 5

    @Option(help: "Runs of each measurement.")
    var runs: Int = 5

    @Option(help: "Threads to compute with (default: all cores).")
    var threads: Int?

    @Option(help: "Bundle directory of the shape pocket (default: the pocket bundle).")
    var models: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    @Option(help: "Write the shares of the limits as a picture (SVG).")
    var plot: String?

    func run() async throws {
        var options = Benchmark.Options()
        if !stage.isEmpty { options.stages = try stage.map { try parsed("stage", $0) } }
        if !shape.isEmpty { options.shapes = try shape.map { try parsed("shape", $0) } }
        if !precision.isEmpty {
            options.precisions = try precision.map { try parsed("precision", $0) }
        }
        if !batch.isEmpty { options.batches = try batch.map { try checked("batch", $0, 1...256) } }
        if !context.isEmpty {
            options.contexts = try context.map { try checked("context", $0, 1...32_000) }
        }
        options.layers = try layers.map { try checked("layers", $0, 1...4096) }
        options.runs = try checked("runs", runs, 1...1000)
        guard (0.2...60).contains(seconds) else {
            throw ValidationError("seconds is \(seconds); accepted: 0.2 to 60")
        }
        options.seconds = seconds
        if let plot, !plot.lowercased().hasSuffix(".svg") {
            throw ValidationError("plot is '\(plot)'; accepted: a file name that ends in .svg")
        }
        let count = try threads ?? Environment.value("THREADS", as: Int.self) ?? 0
        Benchmark.setThreadCount(try checked("threads", count, 0...1024))
        let bar = ProgressBar(quiet: quiet)
        let benchmark = Benchmark(
            options, locations: ModelLocations(models: models ?? Environment.value("MODELS"))
        ) { bar.update(stage: $0, completed: 0, total: nil) }
        let report = try await benchmark.run()
        bar.clear()
        if let plot {
            try Data(report.svg.utf8).write(to: URL(fileURLWithPath: plot))
        }
        if json {
            try Console.printJSON(report)
        } else {
            report.lines.forEach { Console.print($0) }
        }
    }

    private func parsed<Value: RawRepresentable & CaseIterable>(
        _ name: String, _ text: String
    ) throws -> Value where Value.RawValue == String {
        guard let value = Value(rawValue: text) else {
            let accepted = Value.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("\(name) is '\(text)'; accepted: \(accepted)")
        }
        return value
    }

    private func checked(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws -> Int {
        guard range.contains(value) else {
            throw ValidationError(
                "\(name) is \(value); accepted: \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }
}

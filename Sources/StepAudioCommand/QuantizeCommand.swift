// `stepaudio quantize`: a model or a whole bundle with int8 or int4 language-model weights.

import ArgumentParser
import Foundation
import StepAudio

/// Writes a smaller copy of a model or a bundle.
struct QuantizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Write a copy with int8 or int4 language-model weights.",
        discussion: """
            DIRECTORY is a language model's folder or a bundle; a bundle's other parts are copied. \
            The copy is loaded without conversion. Norms and the embedding stay as they are; the \
            output is int8 at the least.
            """)

    @Argument(help: "Model or bundle directory.")
    var directory: String

    @Argument(help: "Directory of the copy; made when it is not there.")
    var output: String

    @Option(help: "int8 or int4.")
    var precision: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    func run() async throws {
        let name = precision ?? Environment.value("PRECISION") ?? "int8"
        guard let precision = WeightPrecision(rawValue: name), precision.isQuantized else {
            throw ValidationError("precision is '\(name)'; accepted: int8, int4")
        }
        let bar = ProgressBar(quiet: quiet)
        let models = try BundleQuantization.run(
            from: directory, to: output, precision: precision
        ) { model, done, total in bar.update(stage: model, completed: done, total: total) }
        bar.clear()
        if json {
            try Console.printJSON(models)
            return
        }
        for model in models {
            let before = Double(model.summary.bytesBefore) / 1e6
            let after = Double(model.summary.bytesAfter) / 1e6
            Console.print(
                "\(model.folder): \(model.summary.matrices) matrices, "
                    + "\(Int(before.rounded())) MB became \(Int(after.rounded())) MB")
        }
    }
}

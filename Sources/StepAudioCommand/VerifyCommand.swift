// `stepaudio verify`: holds every stage against the cases of an independent oracle.

import ArgumentParser
import Foundation
import StepAudio

/// Runs conformance cases on a bundle.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check every stage against conformance cases.",
        discussion: "Without --cases the files in the bundle's folder `cases` are run.")

    @Option(parsing: .upToNextOption, help: "Case files (safetensors).")
    var cases: [String] = []

    @OptionGroup var model: ModelSettings

    private struct Report: Encodable {
        var passed: Bool
        var results: [StageResult]
    }

    func run() async throws {
        let settings = try model.resolved()
        var files = cases
        if files.isEmpty, let list = Environment.value("CASES") {
            files = list.split(separator: ":").map(String.init)
        }
        let conformance = Conformance(
            locations: settings.locations, precision: settings.precision ?? .fp32)
        if files.isEmpty { files = try conformance.bundledCaseFiles() }
        let bar = ProgressBar(quiet: settings.quiet)
        var results: [StageResult] = []
        for file in files {
            let cases = try ConformanceCase.read(file: file)
            for (index, each) in cases.enumerated() {
                try Task.checkCancellation()
                bar.update(stage: each.stage, completed: index, total: cases.count)
                let result = conformance.run(each)
                bar.clear()
                results.append(result)
                if !settings.json {
                    Console.print(result.line)
                }
            }
        }
        let failures = results.count { !$0.passed }
        if settings.json {
            try Console.printJSON(Report(passed: failures == 0, results: results))
        } else {
            Console.note("\(results.count - failures) of \(results.count) cases pass")
        }
        if failures > 0 || results.isEmpty {
            throw ExitCode(1)
        }
    }
}

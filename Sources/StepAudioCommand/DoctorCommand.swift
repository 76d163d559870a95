// `stepaudio doctor`: whether this machine and this bundle can do the job.

import ArgumentParser
import StepAudio

/// Checks the machine, the helpers and the bundle.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check the machine, the helper programs and the bundle.")

    @OptionGroup var model: ModelSettings

    func run() async throws {
        let settings = try model.resolved()
        let bar = ProgressBar(quiet: settings.quiet)
        let checks = await Doctor.examine(
            locations: settings.locations, precision: settings.precision,
            chatServer: settings.chatServer,
            progress: { stage, completed, total in
                bar.update(stage: stage, completed: completed, total: total)
            })
        bar.clear()
        if settings.json {
            try Console.printJSON(checks)
        } else {
            for check in checks {
                Console.print("\(check.status.mark) \(check.name): \(check.finding)")
            }
        }
        if checks.contains(where: { $0.status == .failed }) {
            throw ExitCode(1)
        }
    }
}

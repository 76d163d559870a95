// The command `stepaudio`: its verbs, and what its exit codes mean.

import ArgumentParser
import Foundation
import StepAudio

/// The root of the command's verbs.
@main
struct StepAudioCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stepaudio",
        abstract: "Speech chat on your own machine: ask by text or by recording, hear the answer.",
        discussion: """
            Without --models the pocket bundle answers. Text goes to standard output, everything \
            else to standard error. Every flag has a twin in the environment: --models is \
            STEPAUDIO_MODELS, --llm-url is STEPAUDIO_LLM_URL.

            Exit codes: 0 done, 1 failed (the reason is printed), 64 wrong command line, \
            130 interrupted.
            """,
        version: StepAudioVersion.current,
        subcommands: [
            ChatCommand.self, SayCommand.self, EncodeCommand.self, DecodeCommand.self,
            VoicesCommand.self, ServeCommand.self, InspectCommand.self, VerifyCommand.self,
            DoctorCommand.self, QuantizeCommand.self, BenchCommand.self,
        ])

    static func main() async {
        await main(Array(CommandLine.arguments.dropFirst()))
    }

    /// Runs the command line and exits the process.
    static func main(_ arguments: [String]) async {
        let task = Task { () -> Int32 in
            do {
                var command = try parseAsRoot(arguments)
                if var asynchronous = command as? AsyncParsableCommand {
                    try await asynchronous.run()
                } else {
                    try command.run()
                }
                return 0
            } catch let code as ExitCode {
                return code.rawValue
            } catch is CancellationError {
                return 130
            } catch  where Task.isCancelled {
                return 130
            } catch {
                return report(error)
            }
        }
        let source = Interrupt.onSignal { task.cancel() }
        let status = await task.value
        source.cancel()
        if status == 130 {
            Console.note("interrupted")
        }
        Foundation.exit(status)
    }

    private static func report(_ error: any Error) -> Int32 {
        let status = exitCode(for: error).rawValue
        if status == ExitCode.validationFailure.rawValue || status == 0 {
            let text = fullMessage(for: error)
            Console.write(text, to: status == 0 ? FileHandle.standardOutput : .standardError)
            return status
        }
        Console.note("error: \(error)")
        return 1
    }
}

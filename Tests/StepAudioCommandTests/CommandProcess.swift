// Runs the built command as a real process and collects what it prints.

import Foundation
import Synchronization
import Testing

/// The result of one run of `stepaudio`.
struct CommandResult: CustomStringConvertible {
    let status: Int32
    let bytes: Data
    let error: String

    /// Standard output as text.
    var output: String { String(decoding: bytes, as: UTF8.self) }

    var description: String { "exit \(status)\nstdout: \(output)\nstderr: \(error)" }

    /// Standard output as a JSON object.
    func json() throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: Data(output.utf8))
        return try #require(value as? [String: Any], "not an object: \(output)")
    }
}

/// Runs the command that was built beside the tests.
enum CommandProcess {
    static var executable: URL {
        get throws {
            let starts = [
                Bundle.main.executableURL,
                CommandLine.arguments.first.map { URL(fileURLWithPath: $0) },
            ]
            for start in starts.compactMap(\.self) {
                let url = start.deletingLastPathComponent().appendingPathComponent("stepaudio")
                if FileManager.default.isExecutableFile(atPath: url.path) { return url }
            }
            throw Missing()
        }
    }

    struct Missing: Error, CustomStringConvertible {
        var description: String { "the command stepaudio was not built beside the tests" }
    }

    /// The package's directory.
    static let package = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Runs to the end, or sends SIGINT after `interruptAfter` seconds.
    static func run(
        _ arguments: [String], input: Data = Data(), environment: [String: String] = [:],
        interruptAfter: Double? = nil
    ) throws -> CommandResult {
        let process = Process()
        process.executableURL = try executable
        process.arguments = arguments
        process.currentDirectoryURL = package
        var variables = ProcessInfo.processInfo.environment.filter {
            !$0.key.hasPrefix("STEPAUDIO_")
        }
        variables["STEPAUDIO_VOICES"] =
            FileManager.default.temporaryDirectory.path + "/stepaudio-no-voices"
        variables["STEPAUDIO_CACHE"] = "off"
        variables["STEPAUDIO_PLAYER"] = "none"
        variables.merge(environment) { $1 }
        process.environment = variables
        let (standardInput, output, error) = (Pipe(), Pipe(), Pipe())
        process.standardInput = standardInput
        process.standardOutput = output
        process.standardError = error
        let errors = Mutex(Data())
        let group = DispatchGroup()
        try process.run()
        DispatchQueue.global().async(group: group) {
            let data = (try? error.fileHandleForReading.readToEnd()) ?? nil
            errors.withLock { $0 = data ?? Data() }
        }
        DispatchQueue.global().async(group: group) {
            try? standardInput.fileHandleForWriting.write(contentsOf: input)
            try? standardInput.fileHandleForWriting.close()
        }
        if let interruptAfter {
            let identifier = process.processIdentifier
            DispatchQueue.global().asyncAfter(deadline: .now() + interruptAfter) {
                kill(identifier, SIGINT)
            }
        }
        let printed = try output.fileHandleForReading.readToEnd() ?? Data()
        group.wait()
        process.waitUntilExit()
        return CommandResult(
            status: process.terminationStatus, bytes: printed,
            error: errors.withLock { String(decoding: $0, as: UTF8.self) })
    }
}

// A program of the system that plays samples from its standard input.

import Foundation
import StepAudio

/// A player that is there.
struct SystemPlayer: Sendable {
    /// Its name, as in messages.
    let name: String
    /// Whether it reads a WAV file rather than samples alone.
    let wantsHeader: Bool
    private let arguments: @Sendable (Int) -> [String]

    /// The players that are looked for, in order.
    private static let known = [
        SystemPlayer(name: "paplay", wantsHeader: false) {
            ["paplay", "--raw", "--rate=\($0)", "--format=s16le", "--channels=1"]
        },
        SystemPlayer(name: "aplay", wantsHeader: false) {
            ["aplay", "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", "\($0)", "-"]
        },
        SystemPlayer(name: "play", wantsHeader: false) {
            [
                "play", "-q", "-t", "raw", "-e", "signed", "-b", "16", "-c", "1", "-r", "\($0)",
                "-",
            ]
        },
        SystemPlayer(name: "ffplay", wantsHeader: true) { _ in
            ["ffplay", "-loglevel", "error", "-nodisp", "-autoexit", "-i", "-"]
        },
    ]

    /// The names of the players that are looked for.
    static var names: String { known.map(\.name).joined(separator: ", ") }

    /// The player that `chosen` names, or the first one that is installed; nil for `none` or when there
    /// is none.
    ///
    /// `chosen` may also be a command line, which gets 16-bit mono samples; `{rate}` in it stands for
    /// their rate.
    static func find(_ chosen: String?) -> SystemPlayer? {
        guard let chosen else { return known.first { path(of: $0.name) != nil } }
        if chosen == "none" { return nil }
        if let player = known.first(where: { $0.name == chosen }) { return player }
        return SystemPlayer(name: "'\(chosen)'", wantsHeader: false) { rate in
            ["/bin/sh", "-c", chosen.replacingOccurrences(of: "{rate}", with: "\(rate)")]
        }
    }

    /// A player that is playing.
    final class Running: @unchecked Sendable {
        // Sendable because `Process` is only asked to stop and waited for, which any thread may do.
        let input: FileHandle
        private let process: Process

        fileprivate init(_ process: Process, input: FileHandle) {
            self.process = process
            self.input = input
        }

        func stop() { if process.isRunning { process.terminate() } }

        func wait() -> Int32 {
            process.waitUntilExit()
            return process.terminationStatus
        }
    }

    fileprivate func executable(_ name: String) throws -> URL {
        guard let path = name.hasPrefix("/") ? name : Self.path(of: name) else {
            throw SoundSink.Failure(description: "the player \(name) is not installed")
        }
        return URL(fileURLWithPath: path)
    }

    func start(sampleRate: Int) throws -> Running {
        let arguments = arguments(sampleRate)
        let process = Process()
        process.executableURL = try executable(arguments[0])
        process.arguments = Array(arguments.dropFirst())
        let pipe = Pipe()
        process.standardInput = pipe
        process.standardOutput = FileHandle.nullDevice
        do {
            try process.run()
        } catch {
            throw SoundSink.Failure(
                description: "cannot start \(name): \((error as NSError).localizedDescription)")
        }
        return Running(process, input: pipe.fileHandleForWriting)
    }

    private static func path(of name: String) -> String? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
            .map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}

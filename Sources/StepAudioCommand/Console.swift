// What the command writes to people: results to standard output, notes and progress to standard
// error. Progress is drawn only on a terminal.

import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Standard output and standard error.
enum Console {
    /// Whether standard error is a terminal.
    static var errorIsTerminal: Bool { isatty(2) == 1 }
    /// Whether standard input is a terminal.
    static var inputIsTerminal: Bool { isatty(0) == 1 }

    static func write(_ text: String, to handle: FileHandle) {
        let line = text.hasSuffix("\n") ? text : text + "\n"
        try? handle.write(contentsOf: Data(line.utf8))
    }

    /// One line of the result.
    static func print(_ text: String) {
        write(text, to: .standardOutput)
    }

    /// A piece of the result, without a line break.
    static func printPart(_ text: String) {
        try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
    }

    /// One line beside the result.
    static func note(_ text: String) {
        // A progress bar may stand in the line.
        write(errorIsTerminal ? "\r\u{1B}[K" + text : text, to: .standardError)
    }

    /// Whether a line is being waited for, in which nothing can be cancelled.
    static let isAsking = Atomic(false)

    /// A line that someone types behind a prompt on standard error, nil at the end of input.
    static func ask(_ prompt: String) -> String? {
        try? FileHandle.standardError.write(contentsOf: Data(prompt.utf8))
        isAsking.store(true, ordering: .relaxed)
        defer { isAsking.store(false, ordering: .relaxed) }
        return readLine()
    }

    /// Prints a value as one line of JSON with sorted keys.
    static func printJSON(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        Console.print(String(decoding: try encoder.encode(value), as: UTF8.self))
    }
}

/// A one-line progress bar on standard error; silent when that is no terminal.
final class ProgressBar: Sendable {
    private let isShown: Bool
    private let lastLine = Mutex("")

    init(quiet: Bool) {
        isShown = !quiet && Console.errorIsTerminal
    }

    /// Draws a stage with its share; an unknown total draws a count.
    func update(stage: String, completed: Int, total: Int?) {
        guard isShown else { return }
        let line: String
        if let total, total > 0 {
            let filled = min(20, 20 * completed / total)
            let bar =
                String(repeating: "█", count: filled) + String(repeating: "░", count: 20 - filled)
            line = "\(bar) \(stage) \(completed)/\(total)"
        } else {
            line = "\(stage) \(completed)"
        }
        lastLine.withLock { last in
            guard last != line else { return }
            last = line
            try? FileHandle.standardError.write(contentsOf: Data("\r\u{1B}[K\(line)".utf8))
        }
    }

    /// Removes the bar.
    func clear() {
        guard isShown else { return }
        lastLine.withLock { last in
            guard !last.isEmpty else { return }
            last = ""
            try? FileHandle.standardError.write(contentsOf: Data("\r\u{1B}[K".utf8))
        }
    }
}

/// Turns an interrupt into a cancellation.
enum Interrupt {
    /// Calls `action` on SIGINT and SIGTERM; a second one, or one while a line is being waited for, ends
    /// the process at once.
    static func onSignal(_ action: @escaping @Sendable () -> Void) -> Handle {
        let sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            let count = Mutex(0)
            source.setEventHandler {
                let seen = count.withLock { count in
                    count += 1
                    return count
                }
                if seen > 1 || Console.isAsking.load(ordering: .relaxed) {
                    Console.note("interrupted")
                    Foundation.exit(130)
                }
                action()
            }
            source.activate()
            return source
        }
        return Handle(sources: sources)
    }

    /// Keeps the signal handlers alive.
    struct Handle {
        let sources: [any DispatchSourceSignal]

        func cancel() {
            for source in sources {
                source.cancel()
            }
        }
    }
}

// `ffmpeg` as a streaming encoder: 16-bit mono samples go in, bytes of the format come out while more
// goes in. Its pipes are served by threads of their own, never by an event loop.

import AudioSignal
import Foundation
import Synchronization

/// One running `ffmpeg`.
final class Transcoder: Sendable {
    private struct State {
        var output: [UInt8] = []
        var isAtEnd = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let process: Process
    private let input: Pipe
    private let output: Pipe
    private let writing = DispatchQueue(label: "stepaudio.transcoder.write")
    private let state = Mutex(State())
    private let format: AudioFormat

    /// Starts the program.
    init(_ format: AudioFormat, sampleRate: Int) throws {
        guard let path = FFmpeg.path else {
            throw AudioError.ffmpegMissing(source: "the answer's format")
        }
        self.format = format
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments =
            [
                "-nostdin", "-hide_banner", "-loglevel", "error", "-f", "s16le", "-ar",
                "\(sampleRate)", "-ac", "1", "-i", "pipe:0", "-flush_packets", "1",
            ] + format.transcoderArguments + ["pipe:1"]
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        self.process = process
        self.input = input
        self.output = output
        do {
            try process.run()
        } catch {
            throw AudioError.ffmpegFailed(
                source: format.rawValue, message: "it cannot be started")
        }
        try? output.fileHandleForWriting.close()
        Thread.detachNewThread { [weak self] in
            let handle = output.fileHandleForReading
            while case let data = handle.availableData, !data.isEmpty {
                self?.state.withLock { $0.output += data }
            }
            self?.end()
        }
    }

    deinit {
        if process.isRunning { process.terminate() }
    }

    /// Writes samples and takes what has come out so far.
    func append(_ pcm: [UInt8]) async throws -> [UInt8] {
        try await write(pcm, closes: false)
        return take()
    }

    /// Writes the last samples and waits for the rest of the output.
    func finish(_ pcm: [UInt8]) async throws -> [UInt8] {
        try await write(pcm, closes: true)
        await withCheckedContinuation { continuation in
            let isAtEnd = state.withLock { state in
                if !state.isAtEnd { state.waiter = continuation }
                return state.isAtEnd
            }
            if isAtEnd { continuation.resume() }
        }
        await withCheckedContinuation { continuation in
            writing.async { [process] in
                process.waitUntilExit()
                continuation.resume()
            }
        }
        guard process.terminationStatus == 0 else {
            throw AudioError.ffmpegFailed(
                source: format.rawValue, message: "it ended with \(process.terminationStatus)")
        }
        return take()
    }

    private func take() -> [UInt8] {
        state.withLock { state in
            defer { state.output = [] }
            return state.output
        }
    }

    private func end() {
        let waiter = state.withLock { state in
            state.isAtEnd = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    private func write(_ bytes: [UInt8], closes: Bool) async throws {
        try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Void, any Error>) in
            writing.async { [input, format] in
                let handle = input.fileHandleForWriting
                do {
                    if !bytes.isEmpty { try handle.write(contentsOf: Data(bytes)) }
                    if closes { try handle.close() }
                    continuation.resume()
                } catch {
                    continuation.resume(
                        throwing: AudioError.ffmpegFailed(
                            source: format.rawValue, message: "it stopped reading"))
                }
            }
        }
    }
}

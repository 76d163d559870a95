// Reads recordings of any format: WAV natively, everything else through the `ffmpeg` command.

import Foundation
import Synchronization

/// Reads recordings.
public enum AudioFile {
    /// Largest file that is read, in bytes.
    public static let largestFile = 2_000_000_000

    /// Reads a recording; "-" reads standard input.
    public static func read(path: String) throws(AudioError) -> AudioClip {
        if path == "-" {
            let data = (try? FileHandle.standardInput.readToEnd()) ?? nil
            return try read(data: data ?? Data(), name: "standard input")
        }
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw .file(path: path, reason: "there is no such file")
        }
        guard !isDirectory.boolValue else {
            throw .file(path: path, reason: "it is a directory, not a recording")
        }
        guard let handle = FileHandle(forReadingAtPath: path) else {
            throw .file(path: path, reason: "it cannot be opened")
        }
        defer { try? handle.close() }
        let data = (try? handle.read(upToCount: largestFile + 1)) ?? nil
        guard let data else { throw .file(path: path, reason: "it is empty or cannot be read") }
        guard data.count <= largestFile else {
            throw .file(path: path, reason: "it is larger than \(largestFile) bytes")
        }
        return try read(data: data, name: path)
    }

    /// Decodes a recording's bytes; `name` stands for it in errors.
    public static func read(data: Data, name: String) throws(AudioError) -> AudioClip {
        guard !data.isEmpty else { throw .malformed(source: name, reason: "it has 0 bytes") }
        let bytes = [UInt8](data)
        guard WAVReader.recognises(bytes) else {
            return try FFmpeg.decode(data, name: name)
        }
        do {
            return try WAVReader.read(bytes, source: name)
        } catch .unsupported(let source, let coding) {
            guard FFmpeg.path != nil else {
                throw .unsupported(source: source, coding: coding)
            }
            return try FFmpeg.decode(data, name: name)
        }
    }
}

/// The `ffmpeg` command as a decoder of foreign formats.
public enum FFmpeg {
    /// Seconds after which a decoder that hangs is stopped.
    static let timeLimit = 120.0

    /// Where the command is: the variable STEPAUDIO_FFMPEG, or the search path.
    public static var path: String? {
        let environment = ProcessInfo.processInfo.environment
        if let chosen = environment["STEPAUDIO_FFMPEG"] {
            return FileManager.default.isExecutableFile(atPath: chosen) ? chosen : nil
        }
        return (environment["PATH"] ?? "").split(separator: ":").map { $0 + "/ffmpeg" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    static func decode(_ data: Data, name: String) throws(AudioError) -> AudioClip {
        guard let path else { throw .ffmpegMissing(source: name) }
        // A seekable file, because some containers keep their index at the end.
        let input = FileManager.default.temporaryDirectory
            .appendingPathComponent("stepaudio-\(UUID().uuidString)")
        do {
            try data.write(to: input)
        } catch {
            throw .file(path: input.path, reason: "cannot be written")
        }
        defer { try? FileManager.default.removeItem(at: input) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = [
            "-nostdin", "-hide_banner", "-loglevel", "error", "-i", input.path, "-map", "0:a:0",
            "-f", "wav", "-c:a", "pcm_f32le", "-",
        ]
        let (output, errors) = (Pipe(), Pipe())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        do {
            try process.run()
        } catch {
            throw .ffmpegFailed(source: name, message: "it cannot be started")
        }
        let message = Mutex(Data())
        let group = DispatchGroup()
        DispatchQueue.global().async(group: group) {
            let data = (try? errors.fileHandleForReading.readToEnd()) ?? nil
            message.withLock { $0 = data ?? Data() }
        }
        let watchdog = DispatchWorkItem { process.terminate() }
        DispatchQueue.global().asyncAfter(deadline: .now() + timeLimit, execute: watchdog)
        let decoded = (try? output.fileHandleForReading.readToEnd()) ?? nil
        group.wait()
        process.waitUntilExit()
        watchdog.cancel()
        let text = message.withLock { String(decoding: $0, as: UTF8.self) }
            .replacingOccurrences(of: input.path, with: name)
        guard process.terminationStatus == 0, let decoded, !decoded.isEmpty else {
            let last = text.split(separator: "\n").last.map(String.init)
            throw .ffmpegFailed(source: name, message: last ?? "it gave no sound")
        }
        return try WAVReader.read([UInt8](decoded), source: name)
    }
}

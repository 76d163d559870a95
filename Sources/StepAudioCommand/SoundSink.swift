// Where speech goes while it is being made: a WAV file, standard output, or the system's player. Writing
// happens on a queue of its own, so that a slow reader holds up neither the models nor an interrupt.

import AudioSignal
import Foundation
import StepAudio
import Synchronization

/// How samples are written.
enum SoundFormat: String, CaseIterable {
    case wav
    /// 16-bit little-endian samples without a header.
    case pcm
}

/// Takes samples in order.
final class SoundSink: Sendable {
    /// Why samples could not be written.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let queue = DispatchQueue(label: "stepaudio.output")
    private let handle: FileHandle
    private let player: SystemPlayer.Running?
    private let patchesHeader: Bool
    private let name: String
    private let state = Mutex((bytes: 0, failure: Failure?.none))

    /// Opens a file, or standard output for `-`.
    init(path: String, format: SoundFormat, sampleRate: Int) throws {
        player = nil
        let isPipe = path == "-"
        name = isPipe ? "standard output" : path
        if isPipe {
            handle = .standardOutput
        } else {
            guard FileManager.default.createFile(atPath: path, contents: nil),
                let opened = FileHandle(forWritingAtPath: path)
            else { throw Failure(description: "cannot write \(path)") }
            handle = opened
        }
        patchesHeader = !isPipe && format == .wav
        signal(SIGPIPE, SIG_IGN)
        if format == .wav { enqueue(Self.header(sampleRate: sampleRate, bytes: nil)) }
    }

    /// Starts a player.
    init(player: SystemPlayer, sampleRate: Int) throws {
        signal(SIGPIPE, SIG_IGN)
        let running = try player.start(sampleRate: sampleRate)
        self.player = running
        handle = running.input
        name = "the player \(player.name)"
        patchesHeader = false
        if player.wantsHeader { enqueue(Self.header(sampleRate: sampleRate, bytes: nil)) }
    }

    /// Takes the next samples; throws when earlier ones could not be written.
    func write(_ samples: [Float]) throws {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        guard !samples.isEmpty else { return }
        let wav = AudioClip(mono: samples, sampleRate: 1).wavData(format: .pcm16)
        enqueue(wav.suffix(2 * samples.count))
    }

    /// Waits until everything is written and, with a player, heard.
    func finish() async throws {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async {
                    self.close()
                    continuation.resume()
                }
            }
        } onCancel: {
            player?.stop()
        }
        try Task.checkCancellation()
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    /// Stops a player at once.
    func cancel() { player?.stop() }

    private func enqueue(_ data: Data) {
        queue.async {
            guard self.state.withLock({ $0.failure }) == nil else { return }
            do {
                try self.handle.write(contentsOf: data)
                self.state.withLock { $0.bytes += data.count }
            } catch {
                let reason = (error as NSError).localizedDescription
                self.fail("cannot write to \(self.name): \(reason)")
            }
        }
    }

    private func fail(_ reason: String) {
        state.withLock { $0.failure = $0.failure ?? Failure(description: reason) }
    }

    private func close() {
        if patchesHeader {
            let bytes = state.withLock { $0.bytes } - Self.headerBytes
            do {
                try handle.seek(toOffset: 4)
                try handle.write(contentsOf: Self.word(bytes + Self.headerBytes - 8))
                try handle.seek(toOffset: UInt64(Self.headerBytes - 4))
                try handle.write(contentsOf: Self.word(bytes))
            } catch {
                fail("cannot write to \(name): \((error as NSError).localizedDescription)")
            }
        }
        guard handle !== FileHandle.standardOutput else { return }
        try? handle.close()
        if let player, player.wait() != 0 { fail("\(name) failed") }
    }

    private static let headerBytes = 44

    /// A WAV header; one of unknown length says the largest, as readers of pipes expect.
    private static func header(sampleRate: Int, bytes: Int?) -> Data {
        var header = AudioClip(mono: [0], sampleRate: sampleRate).wavData(format: .pcm16)
            .prefix(headerBytes)
        guard bytes == nil else { return header }
        header.replaceSubrange(4..<8, with: word(Int(UInt32.max)))
        header.replaceSubrange(headerBytes - 4..<headerBytes, with: word(Int(UInt32.max)))
        return header
    }

    private static func word(_ value: Int) -> Data {
        withUnsafeBytes(of: UInt32(clamping: value).littleEndian) { Data($0) }
    }
}

// What speakers' recordings were turned into, in memory and on disk, named by content: the hash of the
// recording and of what identifies the models. A file on disk ends with the hash of all that stands before
// it; one that does not match is thrown away and made again.

import Foundation
import LanguageModelInterface
import SpeechSynthesis
import Synchronization
import TensorCore

/// Keeps the conditioning of voices.
final class VoiceCache: Sendable {
    /// Bytes of the cache in memory.
    static let memoryLimit = 32_000_000
    /// Bytes of the files on disk.
    static let diskLimit = 64_000_000

    private let directory: String?
    private let memory = BoundedCache<FlowDecoder.Prompt>(limit: VoiceCache.memoryLimit)

    /// A cache with files in `directory`, or in memory only.
    init(directory: String?) {
        self.directory = directory.map { $0 + "/voices" }
    }

    private let fromDisk = Atomic<Int>(0)

    /// What is in memory; a recording that was found on disk counts as a hit.
    var statistics: CacheStatistics {
        var result = memory.statistics
        let found = fromDisk.load(ordering: .relaxed)
        result.hits += found
        result.misses -= found
        return result
    }

    /// The prompt of a recording, made when nobody has it.
    ///
    /// - Parameters:
    ///   - name: what the recording is called as long as it does not change.
    ///   - models: what identifies the models.
    ///   - content: the recording's bytes; nil for one that must not go to disk.
    ///   - make: makes the prompt.
    /// - Returns: the prompt, as `make` would give it.
    func prompt(
        name: String, models: String, content: () -> Data?, make: () throws -> FlowDecoder.Prompt
    ) rethrows -> FlowDecoder.Prompt {
        let key = name + "\n" + models
        if let known = memory.value(key) { return known }
        let file = directory.flatMap { directory in
            content().map { recording in
                let hash = SHA256.hex(Array(models.utf8) + [0] + recording)
                return "\(directory)/\(hash).prompt"
            }
        }
        if let file, let data = FileManager.default.contents(atPath: file) {
            if let known = Self.decode(data) {
                keep(known, key)
                fromDisk.add(1, ordering: .relaxed)
                return known
            }
            try? FileManager.default.removeItem(atPath: file)
        }
        let made = try make()
        keep(made, key)
        if let file { write(made, to: file) }
        return made
    }

    private func keep(_ prompt: FlowDecoder.Prompt, _ key: String) {
        let bytes =
            8 * prompt.tokens.count + 4 * (prompt.mel.values.count + prompt.embedding.count)
        memory.keep(prompt, bytes: bytes, for: key)
    }

    // MARK: Files

    private static let magic = Array("stepaudio voice 1\n".utf8)

    /// Magic; counts of tokens, mel rows, mel columns and embedding; the values as 32-bit little-endian
    /// words; the hash of everything before it.
    static func encode(_ prompt: FlowDecoder.Prompt) -> Data {
        var words = [
            prompt.tokens.count, prompt.mel.rows, prompt.mel.columns, prompt.embedding.count,
        ].map { UInt32(truncatingIfNeeded: $0) }
        words += prompt.tokens.map { UInt32(truncatingIfNeeded: $0) }
        words += (prompt.mel.values + prompt.embedding).map(\.bitPattern)
        var data = Data(magic)
        for word in words {
            withUnsafeBytes(of: word.littleEndian) { data.append(contentsOf: $0) }
        }
        data.append(contentsOf: SHA256.hex(data).utf8)
        return data
    }

    /// Nil for anything but what `encode` wrote.
    static func decode(_ data: Data) -> FlowDecoder.Prompt? {
        let bytes = Array(data)
        let start = magic.count
        guard bytes.count >= start + 16 + 64, bytes.starts(with: magic),
            Array(SHA256.hex(bytes.dropLast(64)).utf8) == bytes.suffix(64),
            (bytes.count - 64 - start) % 4 == 0
        else { return nil }
        let words = stride(from: start, to: bytes.count - 64, by: 4).map { place in
            (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[place + $1]) << UInt32(8 * $1) }
        }
        let counts = words[..<4].map { Int($0) }
        let (melCount, overflow) = counts[1].multipliedReportingOverflow(by: counts[2])
        guard !overflow, words.count == 4 + counts[0] + melCount + counts[3] else { return nil }
        let tokens = words[4..<4 + counts[0]].map { Int($0) }
        let values = words[(4 + counts[0])...].map { Float(bitPattern: $0) }
        return FlowDecoder.Prompt(
            tokens: tokens,
            mel: Tensor(shape: [counts[1], counts[2]], values: Array(values[..<melCount])),
            embedding: Array(values[melCount...]))
    }

    /// A cache that cannot be written is no error.
    private func write(_ prompt: FlowDecoder.Prompt, to file: String) {
        guard let directory else { return }
        let manager = FileManager.default
        try? manager.createDirectory(
            atPath: directory, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        guard
            (try? Self.encode(prompt).write(to: URL(fileURLWithPath: file), options: .atomic))
                != nil
        else { return }
        prune(directory)
    }

    /// Removes the oldest files until the rest fits.
    private func prune(_ directory: String) {
        let manager = FileManager.default
        let names = (try? manager.contentsOfDirectory(atPath: directory)) ?? []
        var files: [(path: String, date: Date, bytes: Int)] = []
        for name in names where name.hasSuffix(".prompt") {
            let path = directory + "/" + name
            guard let attributes = try? manager.attributesOfItem(atPath: path) else { continue }
            files.append(
                (
                    path, attributes[.modificationDate] as? Date ?? .distantPast,
                    attributes[.size] as? Int ?? 0
                ))
        }
        var total = files.reduce(0) { $0 + $1.bytes }
        for file in files.sorted(by: { $0.date < $1.date }) where total > Self.diskLimit {
            try? manager.removeItem(atPath: file.path)
            total -= file.bytes
        }
    }
}

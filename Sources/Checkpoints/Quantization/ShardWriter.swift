// Writes a checkpoint as shards with an index, one tensor in memory at a time. Each tensor starts at a
// multiple of 64 bytes, so that it can be used in the mapped file: the header is padded, and tensors are
// ordered so that those of odd size come last.

import Foundation
import TensorCore

/// Writes sharded safetensors.
struct ShardWriter {
    /// A tensor to come.
    struct Entry {
        let name: String
        let shape: [Int]
        let type: ScalarType
        var byteCount: Int { shape.reduce(1, *) * type.byteCount }
    }

    let folder: String
    private let shards: [[Entry]]

    init(folder: String, entries: [Entry], shardBytes: Int) {
        self.folder = folder
        var shards: [[Entry]] = [[]]
        var size = 0
        for entry in entries {
            if size > 0, size + entry.byteCount > shardBytes {
                shards.append([])
                size = 0
            }
            shards[shards.count - 1].append(entry)
            size += entry.byteCount
        }
        func isOdd(_ entry: Entry) -> Bool { !entry.byteCount.isMultiple(of: 64) }
        self.shards = shards.map { $0.filter { !isOdd($0) } + $0.filter(isOdd) }
    }

    /// Takes bytes to be written.
    typealias Sink = (UnsafeRawBufferPointer) throws -> Void

    /// Writes all shards and the index; `fill` passes the bytes of the named tensor to the sink.
    func write(_ fill: (String, Sink) throws -> Void) throws {
        var homes: [String: String] = [:]
        for (index, entries) in shards.enumerated() {
            let name = Self.shardName(index, of: shards.count)
            entries.forEach { homes[$0.name] = name }
            try writeShard(entries, to: folder + "/" + name, fill)
        }
        let total = shards.joined().reduce(0) { $0 + $1.byteCount }
        let map = homes.sorted { $0.key < $1.key }
            .map { "    \(Self.quoted($0.key)): \(Self.quoted($0.value))" }
        let text =
            "{\n  \"metadata\": {\"total_size\": \(total)},\n  \"weight_map\": {\n"
            + map.joined(separator: ",\n") + "\n  }\n}\n"
        let path = folder + "/" + SafetensorsCheckpoint.indexName
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        } catch {
            throw Self.failure(path)
        }
    }

    private static func shardName(_ index: Int, of count: Int) -> String {
        func digits(_ n: Int) -> String {
            String(repeating: "0", count: max(0, 5 - String(n).count)) + String(n)
        }
        return "model-\(digits(index + 1))-of-\(digits(count)).safetensors"
    }

    private func writeShard(
        _ entries: [Entry], to path: String, _ fill: (String, Sink) throws -> Void
    ) throws {
        guard let file = fopen(path, "wb") else { throw Self.failure(path) }
        defer { fclose(file) }
        func put(_ bytes: UnsafeRawBufferPointer) throws {
            guard fwrite(bytes.baseAddress, 1, bytes.count, file) == bytes.count else {
                throw Self.failure(path)
            }
        }
        try Self.header(entries).withUnsafeBytes(put)
        for entry in entries {
            var written = 0
            try fill(entry.name) { bytes in
                written += bytes.count
                try put(bytes)
            }
            precondition(written == entry.byteCount, "\(entry.name): \(written) bytes")
        }
        guard fflush(file) == 0 else { throw Self.failure(path) }
    }

    /// The length and the header, together a multiple of 64 bytes.
    private static func header(_ entries: [Entry]) -> [UInt8] {
        var end = 0
        let fields = entries.map { entry in
            let start = end
            end += entry.byteCount
            let shape = entry.shape.map(String.init).joined(separator: ",")
            return "\(quoted(entry.name)):{\"dtype\":\"\(SafetensorsWriter.code(entry.type))\","
                + "\"shape\":[\(shape)],\"data_offsets\":[\(start),\(end)]}"
        }
        var text = Array("{\(fields.joined(separator: ","))}".utf8)
        text.append(contentsOf: repeatElement(0x20, count: (64 - (8 + text.count) % 64) % 64))
        return withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init) + text
    }

    private static func quoted(_ text: String) -> String { SafetensorsWriter.quoted(text) }

    private static func failure(_ path: String) -> CheckpointError {
        .unreadable(path: path, reason: "it cannot be written: \(String(cString: strerror(errno)))")
    }
}

// The directory of a zip archive whose entries are stored, not compressed: what torch.save writes.
// Only the central directory is trusted to exist, and each of its claims is checked against the file.
// Layout after PKWARE's APPNOTE.TXT 6.3.9, zip64 included.

import TensorCore

/// A zip archive of stored entries, memory-mapped.
struct ZipArchive {
    /// One file of the archive.
    struct Entry: Equatable {
        let name: String
        /// Its bytes in the archive.
        let range: Range<Int>
    }

    /// Entries by name.
    let entries: [String: Entry]
    let storage: TensorStorage
    let path: String

    static let maximumEntries = 1_000_000

    init(path: String) throws {
        let storage = try TensorStorage(checkpoint: path)
        var reader = ZipDirectoryReader(storage: storage, path: path)
        entries = try reader.read()
        self.storage = storage
        self.path = path
    }

    /// A whole entry's bytes, if there is one of this name.
    func bytes(of name: String) -> [UInt8]? {
        entries[name].flatMap { storage.bytes(at: $0.range.lowerBound, length: $0.range.count) }
    }
}

/// Walks the central directory once.
private struct ZipDirectoryReader {
    let storage: TensorStorage
    let path: String

    /// What the end record says of the directory.
    struct Directory {
        var count: Int
        var size: Int
        var start: Int
    }

    func malformed(_ reason: String) -> CheckpointError {
        .malformed(path: path, format: "zip", reason: reason)
    }

    mutating func read() throws -> [String: ZipArchive.Entry] {
        let directory = try findDirectory()
        var entries: [String: ZipArchive.Entry] = [:]
        var cursor = directory.start
        let end = directory.start + directory.size
        for index in 0..<directory.count {
            let (entry, next) = try readEntry(at: cursor, before: end, index: index)
            cursor = next
            guard entries.updateValue(entry, forKey: entry.name) == nil else {
                throw malformed("the entry \(entry.name) stands twice")
            }
        }
        guard cursor == end else {
            throw malformed(
                "its directory holds \(end - cursor) bytes after its \(directory.count) entries")
        }
        try checkOverlap(entries, directoryStart: directory.start)
        return entries
    }

    private func findDirectory() throws -> Directory {
        let size = storage.count
        var position = size - 22
        let lowest = max(0, position - 0xFFFF)
        while position >= lowest {
            if storage.integer(at: position, as: UInt32.self) == 0x0605_4B50,
                storage.integer(at: position + 20, as: UInt16.self).map({ Int($0) })
                    == size - position - 22
            {
                return try readEnd(at: position)
            }
            position -= 1
        }
        throw malformed("it has no end record (is the file cut off?)")
    }

    private func readEnd(at position: Int) throws -> Directory {
        guard let disk = storage.integer(at: position + 4, as: UInt16.self),
            let directoryDisk = storage.integer(at: position + 6, as: UInt16.self),
            let count = storage.integer(at: position + 10, as: UInt16.self),
            let size = storage.integer(at: position + 12, as: UInt32.self),
            let start = storage.integer(at: position + 16, as: UInt32.self)
        else { throw malformed("its end record is cut off") }
        var values = (count: UInt64(count), size: UInt64(size), start: UInt64(start))
        var limit = position
        if storage.integer(at: position - 20, as: UInt32.self) == 0x0706_4B50 {
            guard let record = storage.integer(at: position - 12, as: UInt64.self),
                let place = Int(exactly: record),
                storage.integer(at: place, as: UInt32.self) == 0x0606_4B50,
                let count = storage.integer(at: place + 32, as: UInt64.self),
                let size = storage.integer(at: place + 40, as: UInt64.self),
                let start = storage.integer(at: place + 48, as: UInt64.self)
            else { throw malformed("its zip64 end record is missing") }
            values = (count, size, start)
            limit = place
        } else if disk != 0 || directoryDisk != 0 {
            throw malformed("it is one of several disks")
        }
        guard let count = Int(exactly: values.count), count <= ZipArchive.maximumEntries else {
            throw malformed(
                "it claims \(values.count) entries, at most \(ZipArchive.maximumEntries) are "
                    + "accepted")
        }
        guard let size = Int(exactly: values.size), let start = Int(exactly: values.start),
            size <= limit, start <= limit - size
        else {
            throw malformed(
                "its directory claims bytes \(values.start)..., \(values.size) long, of \(limit)")
        }
        return Directory(count: count, size: size, start: start)
    }

    private func readEntry(
        at cursor: Int, before end: Int, index: Int
    ) throws -> (ZipArchive.Entry, Int) {
        guard cursor <= end - 46, storage.integer(at: cursor, as: UInt32.self) == 0x0201_4B50,
            let flags = storage.integer(at: cursor + 8, as: UInt16.self),
            let method = storage.integer(at: cursor + 10, as: UInt16.self),
            let compressed = storage.integer(at: cursor + 20, as: UInt32.self),
            let plain = storage.integer(at: cursor + 24, as: UInt32.self),
            let nameLength = storage.integer(at: cursor + 28, as: UInt16.self),
            let extraLength = storage.integer(at: cursor + 30, as: UInt16.self),
            let commentLength = storage.integer(at: cursor + 32, as: UInt16.self),
            let header = storage.integer(at: cursor + 42, as: UInt32.self)
        else { throw malformed("its directory is cut off at entry \(index)") }
        let extraStart = cursor + 46 + Int(nameLength)
        let next = extraStart + Int(extraLength) + Int(commentLength)
        guard next <= end, let nameBytes = storage.bytes(at: cursor + 46, length: Int(nameLength)),
            let name = String(validating: nameBytes, as: UTF8.self), !name.isEmpty
        else { throw malformed("its directory is cut off at entry \(index)") }
        guard flags & 1 == 0 else {
            throw CheckpointError.unsupported(
                path: path, what: "the encrypted entry \(name)", accepted: "stored entries")
        }
        guard method == 0 else {
            throw CheckpointError.unsupported(
                path: path, what: "the compressed entry \(name) (method \(method))",
                accepted: "stored entries, as torch.save writes them")
        }
        var sizes = (
            plain: UInt64(plain), compressed: UInt64(compressed), header: UInt64(header)
        )
        try readZip64(&sizes, from: extraStart, length: Int(extraLength), name: name)
        guard sizes.plain == sizes.compressed else {
            throw malformed(
                "the stored entry \(name) claims \(sizes.plain) bytes in \(sizes.compressed)")
        }
        let range = try dataRange(
            name: nameBytes, shownAs: name, header: sizes.header, size: sizes.plain)
        return (ZipArchive.Entry(name: name, range: range), next)
    }

    /// Fields that hold all ones are in the zip64 extra field, in this order.
    private func readZip64(
        _ sizes: inout (plain: UInt64, compressed: UInt64, header: UInt64), from start: Int,
        length: Int, name: String
    ) throws {
        let marker = UInt64(UInt32.max)
        guard sizes.plain == marker || sizes.compressed == marker || sizes.header == marker else {
            return
        }
        var cursor = start
        let end = start + length
        while cursor <= end - 4, let id = storage.integer(at: cursor, as: UInt16.self),
            let size = storage.integer(at: cursor + 2, as: UInt16.self)
        {
            let fieldEnd = cursor + 4 + Int(size)
            cursor += 4
            if id == 1 {
                func take(_ value: inout UInt64) throws {
                    guard value == marker else { return }
                    guard fieldEnd <= end, cursor <= fieldEnd - 8,
                        let wide = storage.integer(at: cursor, as: UInt64.self)
                    else { throw malformed("the zip64 sizes of entry \(name) are cut off") }
                    value = wide
                    cursor += 8
                }
                try take(&sizes.plain)
                try take(&sizes.compressed)
                try take(&sizes.header)
                return
            }
            cursor = fieldEnd
        }
        throw malformed("entry \(name) has no zip64 sizes")
    }

    /// Where an entry's bytes lie, after its local header, which must carry the same name.
    private func dataRange(
        name: [UInt8], shownAs shown: String, header: UInt64, size: UInt64
    ) throws -> Range<Int> {
        guard let header = Int(exactly: header), header <= storage.count - 30,
            storage.integer(at: header, as: UInt32.self) == 0x0403_4B50,
            let nameLength = storage.integer(at: header + 26, as: UInt16.self),
            let extraLength = storage.integer(at: header + 28, as: UInt16.self),
            storage.bytes(at: header + 30, length: Int(nameLength)) == name
        else { throw malformed("the header of entry \(shown) is not where it should be") }
        let start = header + 30 + Int(nameLength) + Int(extraLength)
        guard let size = Int(exactly: size), size <= storage.count, start <= storage.count - size
        else {
            throw malformed(
                "entry \(shown) claims \(size) bytes at \(start), the file holds \(storage.count)")
        }
        return start..<(start + size)
    }

    /// Entries that share bytes would unfold to more than the file holds.
    private func checkOverlap(
        _ entries: [String: ZipArchive.Entry], directoryStart: Int
    ) throws {
        var end = 0
        let ordered = entries.values.sorted {
            ($0.range.lowerBound, $0.name) < ($1.range.lowerBound, $1.name)
        }
        for entry in ordered {
            guard entry.range.lowerBound >= end, entry.range.upperBound <= directoryStart else {
                throw malformed("the entry \(entry.name) overlaps another part of the archive")
            }
            end = entry.range.upperBound
        }
    }
}

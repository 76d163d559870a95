// Bounds-checked reading of numbers and slices from stored bytes. Offsets and lengths come from files,
// so nothing here may trap: whatever lies outside is nil.

import TensorCore

extension TensorStorage {
    /// Maps a file, with this module's error.
    convenience init(checkpoint path: String) throws(CheckpointError) {
        do {
            try self.init(mapping: path)
        } catch {
            if case .cannotMap(_, let reason) = error {
                throw .unreadable(path: path, reason: reason)
            }
            throw .unreadable(path: path, reason: error.description)
        }
    }

    /// The little-endian integer at a byte offset, or nil when it does not lie inside.
    func integer<T: FixedWidthInteger>(at offset: Int, as type: T.Type) -> T? {
        guard offset >= 0, offset <= count - MemoryLayout<T>.size else { return nil }
        return withBytes {
            T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
    }

    /// `length` bytes from `offset`, or nil when they do not lie inside.
    func bytes(at offset: Int, length: Int) -> [UInt8]? {
        guard offset >= 0, length >= 0, length <= count, offset <= count - length else {
            return nil
        }
        return withBytes { Array($0[offset..<(offset + length)]) }
    }

    /// All bytes, for formats that are small and read whole.
    var allBytes: [UInt8] { withBytes { Array($0) } }
}

/// The number of elements of a shape, or nil when an extent is negative or the product overflows.
func elementCount(of shape: [Int]) -> Int? {
    var count = 1
    for extent in shape {
        let (product, overflow) = count.multipliedReportingOverflow(by: extent)
        guard extent >= 0, !overflow else { return nil }
        count = product
    }
    return count
}

/// The number of bytes of a tensor, or nil when the shape is absurd.
func byteCount(of shape: [Int], _ type: ScalarType) -> Int? {
    guard let count = elementCount(of: shape) else { return nil }
    let (size, overflow) = count.multipliedReportingOverflow(by: type.byteCount)
    return overflow ? nil : size
}

/// A text file, read whole; `limit` keeps a mistaken path from filling the memory.
func readText(_ path: String, format: String, limit: Int = 16 << 20) throws(CheckpointError)
    -> String
{
    let storage = try TensorStorage(checkpoint: path)
    guard storage.count <= limit else {
        throw .malformed(
            path: path, format: format,
            reason: "it holds \(storage.count) bytes, at most \(limit) are accepted")
    }
    guard let text = String(validating: storage.allBytes, as: UTF8.self) else {
        throw .malformed(path: path, format: format, reason: "it is not valid UTF-8")
    }
    return text
}

// Writes tensors as one safetensors file: header padded to 8 bytes, tensors by falling alignment and
// then by name, so that every tensor is aligned and the same tensors give the same file.

import Foundation
import TensorCore

/// Gathers tensors and writes them as a safetensors file.
public struct SafetensorsWriter {
    private struct Entry {
        let name: String
        let shape: [Int]
        let type: ScalarType
        let bytes: [UInt8]
    }

    private var entries: [Entry] = []
    /// Free text for the header's `__metadata__`.
    public var metadata: [String: String] = [:]

    /// Makes an empty file.
    public init() {}

    /// Adds fp32 values of a shape (F32).
    public mutating func add(_ name: String, shape: [Int], floats: [Float]) {
        let bytes = floats.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
        add(name, shape: shape, type: .float32, bytes: bytes)
    }

    /// Adds a tensor (F32).
    public mutating func add(_ name: String, _ tensor: Tensor) {
        add(name, shape: tensor.shape, floats: tensor.values)
    }

    /// Adds integers (I64), as a vector unless a shape is given.
    public mutating func add(_ name: String, shape: [Int]? = nil, integers: [Int]) {
        let bytes = integers.flatMap { withUnsafeBytes(of: Int64($0).littleEndian, Array.init) }
        add(name, shape: shape ?? [integers.count], type: .int64, bytes: bytes)
    }

    /// Adds text as its UTF-8 bytes (U8).
    public mutating func add(_ name: String, text: String) {
        let bytes = Array(text.utf8)
        add(name, shape: [bytes.count], type: .uint8, bytes: bytes)
    }

    /// Adds a tensor's little-endian bytes; their number must fit the shape and the type.
    public mutating func add(_ name: String, shape: [Int], type: ScalarType, bytes: [UInt8]) {
        precondition(byteCount(of: shape, type) == bytes.count, "\(name) \(shape): \(bytes.count)")
        entries.append(Entry(name: name, shape: shape, type: type, bytes: bytes))
    }

    /// The file's bytes.
    public func encoded() -> [UInt8] {
        let ordered = entries.sorted {
            ($1.type.byteCount, $0.name) < ($0.type.byteCount, $1.name)
        }
        var fields: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }
                .map { "\(Self.quoted($0.key)):\(Self.quoted($0.value))" }
            fields.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        var end = 0
        for entry in ordered {
            let range = "[\(end),\(end + entry.bytes.count)]"
            end += entry.bytes.count
            let shape = entry.shape.map(String.init).joined(separator: ",")
            fields.append(
                "\(Self.quoted(entry.name)):{\"dtype\":\"\(Self.code(entry.type))\","
                    + "\"shape\":[\(shape)],\"data_offsets\":\(range)}")
        }
        var header = Array("{\(fields.joined(separator: ","))}".utf8)
        header.append(contentsOf: repeatElement(0x20, count: (8 - header.count % 8) % 8))
        var file = withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init)
        file.reserveCapacity(8 + header.count + end)
        file.append(contentsOf: header)
        for entry in ordered {
            file.append(contentsOf: entry.bytes)
        }
        return file
    }

    /// Writes the file; throws `CheckpointError` when that fails.
    public func write(to path: String) throws {
        do {
            try Data(encoded()).write(to: URL(fileURLWithPath: path))
        } catch {
            throw CheckpointError.unreadable(path: path, reason: "it cannot be written: \(error)")
        }
    }

    static func code(_ type: ScalarType) -> String {
        switch type {
        case .float64: "F64"
        case .float32: "F32"
        case .float16: "F16"
        case .bfloat16: "BF16"
        case .int64: "I64"
        case .int32: "I32"
        case .int16: "I16"
        case .int8: "I8"
        case .uint8: "U8"
        case .bool: "BOOL"
        }
    }

    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\u{0}"..<"\u{20}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

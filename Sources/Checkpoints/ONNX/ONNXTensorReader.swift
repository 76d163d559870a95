// ONNX's TensorProto: dims, type, and the elements as raw bytes (which stay in the mapped file), as packed
// floats (likewise), or as varints (which are decoded).

import TensorCore

/// Reads tensors of one file.
struct ONNXTensorReader {
    let path: String

    static let maximumRank = 16
    /// Element types by onnx.proto's numbers.
    static let scalarTypes: [Int: ScalarType] = [
        1: .float32, 2: .uint8, 3: .int8, 5: .int16, 6: .int32, 7: .int64, 9: .bool, 10: .float16,
        11: .float64, 16: .bfloat16,
    ]

    /// The fields of a tensor, before their sense is checked.
    private struct Fields {
        var name = ""
        var shape: [Int] = []
        var type = 0
        /// Little-endian elements in the file, from raw_data or packed float_data or double_data.
        var ranges: [Range<Int>] = []
        var loose: [Float] = []
        var integers: [Int] = []
        var isRaw = false
    }

    func read(_ message: ProtobufReader) throws -> StoredTensor {
        let fields = try fields(of: message)
        guard let type = Self.scalarTypes[fields.type] else {
            throw CheckpointError.unsupported(
                path: path, what: "the element type \(fields.type) of tensor \(fields.name)",
                accepted: "floats, doubles, halves, bfloat16 and integers of 8 to 64 bits")
        }
        guard fields.shape.count <= Self.maximumRank,
            let size = byteCount(of: fields.shape, type)
        else { throw malformed(fields.name, "has the absurd shape \(fields.shape)") }
        let storage: TensorStorage
        var offset = 0
        if fields.ranges.count == 1, fields.loose.isEmpty, fields.integers.isEmpty {
            storage = message.storage
            offset = fields.ranges[0].lowerBound
            try checkSize(fields, type, needed: size, held: fields.ranges[0].count)
        } else {
            let bytes = try gather(fields, type, from: message.storage)
            try checkSize(fields, type, needed: size, held: bytes.count)
            storage = TensorStorage(copying: bytes)
        }
        return try StoredTensor(
            name: fields.name, shape: fields.shape, scalarType: type, storage: storage,
            byteOffset: offset)
    }

    private func malformed(_ name: String, _ reason: String) -> CheckpointError {
        .malformed(path: path, format: "ONNX", reason: "tensor \(name) \(reason)")
    }

    private func checkSize(
        _ fields: Fields, _ type: ScalarType, needed: Int, held: Int
    ) throws {
        guard needed == held else {
            throw malformed(
                fields.name,
                "\(fields.shape) of \(type.rawValue) needs \(needed) bytes and holds \(held)")
        }
    }

    private func fields(of message: ProtobufReader) throws -> Fields {
        var reader = message
        var fields = Fields()
        var isExternal = false
        while let field = try reader.next() {
            switch field.number {
            case 1: fields.shape.append(contentsOf: try reader.integers(field))
            case 2: fields.type = try reader.integer(field)
            case 3, 6, 11:
                throw CheckpointError.unsupported(
                    path: path, what: "a tensor of strings, segments or unsigned 64-bit integers",
                    accepted: "floats and integers")
            case 4:
                if case .fixed32(let bits) = field.payload {
                    fields.loose.append(Float(bitPattern: bits))
                } else {
                    fields.ranges.append(try reader.range(field))
                }
            case 5, 7: fields.integers.append(contentsOf: try reader.integers(field))
            case 8: fields.name = try reader.string(field)
            case 9:
                fields.ranges.append(try reader.range(field))
                fields.isRaw = true
            case 10: fields.ranges.append(try reader.range(field))
            case 13: isExternal = true
            case 14: isExternal = try reader.integer(field) != 0 || isExternal
            default: break
            }
        }
        guard !isExternal else {
            throw CheckpointError.unsupported(
                path: path, what: "tensor \(fields.name) in another file (external data)",
                accepted: "weights inside the .onnx file")
        }
        guard !fields.isRaw || fields.ranges.count == 1 && fields.integers.isEmpty else {
            throw malformed(fields.name, "holds its elements twice")
        }
        return fields
    }

    /// Elements that do not lie in one piece, as little-endian bytes.
    private func gather(
        _ fields: Fields, _ type: ScalarType, from storage: TensorStorage
    ) throws -> [UInt8] {
        var bytes = fields.ranges.flatMap {
            storage.bytes(at: $0.lowerBound, length: $0.count) ?? []
        }
        for value in fields.loose {
            withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
        }
        // int32_data holds small integers by value, and halves and bfloat16 by their bits.
        guard fields.integers.isEmpty || type != .float32 && type != .float64 else {
            throw malformed(fields.name, "of \(type.rawValue) holds integers")
        }
        for value in fields.integers {
            withUnsafeBytes(of: Int64(value).littleEndian) {
                bytes.append(contentsOf: $0.prefix(type.byteCount))
            }
        }
        return bytes
    }
}

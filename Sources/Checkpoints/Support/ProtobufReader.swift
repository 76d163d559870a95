// The protobuf wire format, read field by field: varints, fixed 32 and 64 bits, and length-delimited
// ranges, which stay where they are. ONNX and SentencePiece files are such messages. Every length is
// checked against its message. After the Protocol Buffers encoding specification.

import TensorCore

/// Where and why bytes are not a protobuf message.
struct ProtobufError: Error, Equatable, CustomStringConvertible {
    let reason: String
    let offset: Int

    var description: String { "\(reason) at byte \(offset)" }
}

/// One field of a message.
struct ProtobufField {
    enum Payload {
        case varint(UInt64)
        case fixed64(UInt64)
        case fixed32(UInt32)
        case bytes(Range<Int>)
    }

    let number: Int
    let payload: Payload
    /// Where its tag stands, for messages.
    let offset: Int
}

/// Reads the fields of one message.
struct ProtobufReader {
    let storage: TensorStorage
    private(set) var offset: Int
    let end: Int

    /// The whole storage, or a range of it.
    init(_ storage: TensorStorage, _ range: Range<Int>? = nil) {
        self.storage = storage
        offset = range?.lowerBound ?? 0
        end = range?.upperBound ?? storage.count
    }

    /// The next field, nil at the message's end.
    mutating func next() throws(ProtobufError) -> ProtobufField? {
        guard offset < end else { return nil }
        let start = offset
        let tag = try varint()
        guard let number = Int(exactly: tag >> 3), (1...0x1FFF_FFFF).contains(number) else {
            throw ProtobufError(reason: "the field number \(tag >> 3)", offset: start)
        }
        let payload: ProtobufField.Payload
        switch tag & 7 {
        case 0: payload = .varint(try varint())
        case 1: payload = .fixed64(try fixed(UInt64.self))
        case 2:
            let length = try varint()
            guard let length = Int(exactly: length), length <= end - offset else {
                throw ProtobufError(
                    reason: "field \(number) claims \(length) bytes, \(end - offset) are left",
                    offset: start)
            }
            payload = .bytes(offset..<(offset + length))
            offset += length
        case 5: payload = .fixed32(try fixed(UInt32.self))
        default:
            throw ProtobufError(
                reason: "field \(number) has the wire type \(tag & 7)", offset: start)
        }
        return ProtobufField(number: number, payload: payload, offset: start)
    }

    /// A base-128 number of at most 10 bytes and 64 bits.
    mutating func varint() throws(ProtobufError) -> UInt64 {
        let start = offset
        var value: UInt64 = 0
        for index in 0..<10 {
            guard offset < end, let byte = storage.integer(at: offset, as: UInt8.self) else {
                throw ProtobufError(reason: "a number is cut off", offset: start)
            }
            offset += 1
            guard index < 9 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7F) << UInt64(7 * index)
            if byte < 0x80 { return value }
        }
        throw ProtobufError(reason: "a number longer than 64 bits", offset: start)
    }

    private mutating func fixed<T: FixedWidthInteger>(_ type: T.Type) throws(ProtobufError) -> T {
        guard offset <= end - MemoryLayout<T>.size,
            let value = storage.integer(at: offset, as: type)
        else { throw ProtobufError(reason: "a number is cut off", offset: offset) }
        offset += MemoryLayout<T>.size
        return value
    }
}

extension ProtobufReader {
    /// The field's bytes.
    func range(_ field: ProtobufField) throws(ProtobufError) -> Range<Int> {
        guard case .bytes(let range) = field.payload else { throw wrongType(field) }
        return range
    }

    /// The field's text.
    func string(_ field: ProtobufField) throws(ProtobufError) -> String {
        let range = try range(field)
        let bytes = storage.bytes(at: range.lowerBound, length: range.count) ?? []
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ProtobufError(
                reason: "field \(field.number) is not valid UTF-8", offset: field.offset)
        }
        return text
    }

    /// The field's signed integer.
    func integer(_ field: ProtobufField) throws(ProtobufError) -> Int {
        guard case .varint(let bits) = field.payload else { throw wrongType(field) }
        return Int(Int64(bitPattern: bits))
    }

    /// The field's single-precision number.
    func float(_ field: ProtobufField) throws(ProtobufError) -> Float {
        guard case .fixed32(let bits) = field.payload else { throw wrongType(field) }
        return Float(bitPattern: bits)
    }

    /// The field's integers: one, or a packed row.
    func integers(_ field: ProtobufField) throws(ProtobufError) -> [Int] {
        guard case .bytes(let range) = field.payload else { return [try integer(field)] }
        var packed = ProtobufReader(storage, range)
        var values: [Int] = []
        while packed.offset < packed.end {
            values.append(Int(Int64(bitPattern: try packed.varint())))
        }
        return values
    }

    /// The field's floats: one, or a packed row.
    func floats(_ field: ProtobufField) throws(ProtobufError) -> [Float] {
        guard case .bytes(let range) = field.payload else { return [try float(field)] }
        guard range.count.isMultiple(of: 4) else { throw wrongType(field) }
        return stride(from: range.lowerBound, to: range.upperBound, by: 4).map {
            Float(bitPattern: storage.integer(at: $0, as: UInt32.self) ?? 0)
        }
    }

    private func wrongType(_ field: ProtobufField) -> ProtobufError {
        ProtobufError(reason: "field \(field.number) is of another type", offset: field.offset)
    }
}

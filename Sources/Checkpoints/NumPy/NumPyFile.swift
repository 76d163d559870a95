// NumPy's .npy files, versions 1 to 3: magic, header length, a Python dictionary
// {'descr': '<f4', 'fortran_order': False, 'shape': (1024, 512), }, data in C order.

import TensorCore

/// One array in a .npy file, memory-mapped.
public struct NumPyFile: TensorSource {
    /// The array.
    public let tensor: StoredTensor
    /// The file's path.
    public let origin: String

    /// The array under the name `array`.
    public var tensors: [String: StoredTensor] { [tensor.name: tensor] }

    static let scalarTypes: [String: ScalarType] = [
        "<f2": .float16, "<f4": .float32, "<f8": .float64, "<i4": .int32, "<i8": .int64,
    ]

    /// Maps a file and checks its header; throws `CheckpointError`.
    public init(path: String) throws {
        origin = path
        let storage = try TensorStorage(checkpoint: path)
        func malformed(_ reason: String) -> CheckpointError {
            .malformed(path: path, format: "NumPy", reason: reason)
        }
        guard storage.bytes(at: 0, length: 6) == [0x93] + Array("NUMPY".utf8) else {
            throw malformed("it does not begin with \\x93NUMPY")
        }
        guard let version = storage.integer(at: 6, as: UInt8.self), (1...3).contains(version) else {
            let seen = storage.integer(at: 6, as: UInt8.self).map { "\($0)" } ?? "cut off"
            throw malformed("its version is \(seen); accepted: 1, 2 or 3")
        }
        let lengthSize = version == 1 ? 2 : 4
        let length =
            version == 1
            ? storage.integer(at: 8, as: UInt16.self).map { Int($0) }
            : storage.integer(at: 8, as: UInt32.self).map { Int($0) }
        guard let length, length <= 1 << 20,
            let header = storage.bytes(at: 8 + lengthSize, length: length),
            let text = String(validating: header, as: UTF8.self)
        else { throw malformed("its header is cut off or too long") }

        var parser = HeaderParser(text: text)
        guard let fields = parser.parse() else {
            throw malformed("its header is not a dictionary of descr, fortran_order and shape")
        }
        guard let type = Self.scalarTypes[fields.descr] else {
            throw CheckpointError.unsupported(
                path: path, what: "the element type \(fields.descr.prefix(20))",
                accepted: Self.scalarTypes.keys.sorted().joined(separator: ", "))
        }
        guard !fields.isFortranOrder else {
            throw CheckpointError.unsupported(
                path: path, what: "Fortran order", accepted: "C order")
        }
        let start = 8 + lengthSize + length
        guard let size = byteCount(of: fields.shape, type) else {
            throw malformed("its shape \(fields.shape) is absurd")
        }
        guard size == storage.count - start else {
            throw malformed(
                "its shape \(fields.shape) needs \(size) bytes, \(storage.count - start) follow "
                    + "the header")
        }
        tensor = try StoredTensor(
            name: "array", shape: fields.shape, scalarType: type, storage: storage,
            byteOffset: start)
    }
}

/// Reads the header's Python dictionary literal; nil for anything else.
private struct HeaderParser {
    struct Fields {
        var descr: String
        var isFortranOrder: Bool
        var shape: [Int]
    }

    var rest: Substring

    init(text: String) { rest = text[...] }

    mutating func skip(_ token: String) -> Bool {
        rest = rest.drop { $0 == " " || $0 == "\n" }
        guard rest.hasPrefix(token) else { return false }
        rest.removeFirst(token.count)
        return true
    }

    mutating func parse() -> Fields? {
        var descr: String?
        var order: Bool?
        var shape: [Int]?
        guard skip("{") else { return nil }
        while !skip("}") {
            guard let key = parseString(), skip(":") else { return nil }
            switch key {
            case "descr" where descr == nil:
                guard let value = parseString() else { return nil }
                descr = value
            case "fortran_order" where order == nil:
                if skip("True") {
                    order = true
                } else if skip("False") {
                    order = false
                } else {
                    return nil
                }
            case "shape" where shape == nil:
                guard let value = parseTuple() else { return nil }
                shape = value
            default: return nil
            }
            if !skip(",") {
                guard skip("}") else { return nil }
                break
            }
        }
        rest = rest.drop { $0 == " " || $0 == "\n" }
        guard rest.isEmpty, let descr, let order, let shape else { return nil }
        return Fields(descr: descr, isFortranOrder: order, shape: shape)
    }

    mutating func parseString() -> String? {
        for quote in ["'", "\""] where skip(quote) {
            let text = rest.prefix { String($0) != quote }
            rest = rest[text.endIndex...]
            return skip(quote) ? String(text) : nil
        }
        return nil
    }

    mutating func parseTuple() -> [Int]? {
        guard skip("(") else { return nil }
        var values: [Int] = []
        while !skip(")") {
            rest = rest.drop { $0 == " " }
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == "-") }
            guard let value = Int(digits), values.count < 32 else { return nil }
            rest = rest[digits.endIndex...]
            _ = skip("L")
            values.append(value)
            if !skip(",") {
                return skip(")") ? values : nil
            }
        }
        return values
    }
}

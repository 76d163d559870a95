// Builders that lay out zip archives, pickles and protobuf messages byte by byte, so that a test can make
// sound files and break any part of them.

import Foundation

/// Little-endian bytes of an integer.
func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian, Array.init)
}

/// Little-endian bytes of fp32 values.
func bytes(_ values: [Float]) -> [UInt8] { values.flatMap { little($0.bitPattern) } }

/// One entry of a zip archive; every field can be made to lie.
struct ZipPart {
    var name: String
    var data: [UInt8]
    var method: UInt16 = 0
    var flags: UInt16 = 0
    var claimedSize: UInt32?
    var compressedSize: UInt32?
    var extra: [UInt8] = []
    /// Points the directory at another entry's header.
    var headerOf: Int?

    init(_ name: String, _ data: [UInt8]) {
        self.name = name
        self.data = data
    }
}

/// A zip archive with its central directory.
func zip(_ parts: [ZipPart], count: UInt16? = nil, directorySize: UInt32? = nil) -> [UInt8] {
    var file: [UInt8] = []
    var headers: [UInt32] = []
    for part in parts {
        headers.append(UInt32(file.count))
        let size = UInt32(part.data.count)
        file += little(UInt32(0x0403_4B50)) + little(UInt16(20)) + little(part.flags)
        file += little(part.method) + [UInt8](repeating: 0, count: 8) + little(size) + little(size)
        file += little(UInt16(part.name.utf8.count)) + little(UInt16(0)) + Array(part.name.utf8)
        file += part.data
    }
    let start = UInt32(file.count)
    for (index, part) in parts.enumerated() {
        let size = UInt32(part.data.count)
        file += little(UInt32(0x0201_4B50)) + little(UInt32(20)) + little(part.flags)
        file += little(part.method) + [UInt8](repeating: 0, count: 8)
        file += little(part.compressedSize ?? part.claimedSize ?? size)
        file += little(part.claimedSize ?? size)
        file += little(UInt16(part.name.utf8.count)) + little(UInt16(part.extra.count))
        file += [UInt8](repeating: 0, count: 10) + little(headers[part.headerOf ?? index])
        file += Array(part.name.utf8) + part.extra
    }
    let size = UInt32(file.count) - start
    let number = count ?? UInt16(parts.count)
    file += little(UInt32(0x0605_4B50)) + little(UInt32(0)) + little(number) + little(number)
    return file + little(directorySize ?? size) + little(start) + little(UInt16(0))
}

/// Opcodes of a pickle, protocol 2.
enum Pickle {
    static func text(_ value: String) -> [UInt8] {
        [UInt8(ascii: "X")] + little(UInt32(value.utf8.count)) + Array(value.utf8)
    }

    static func global(_ module: String, _ name: String) -> [UInt8] {
        Array("c\(module)\n\(name)\n".utf8)
    }

    static func integer(_ value: Int32) -> [UInt8] { [UInt8(ascii: "J")] + little(value) }

    static func tuple(_ values: [[UInt8]]) -> [UInt8] {
        [UInt8(ascii: "(")] + values.joined() + [UInt8(ascii: "t")]
    }

    /// A tensor as torch.save writes it.
    static func tensor(
        key: String = "0", storage: String = "FloatStorage", numel: Int32, offset: Int32 = 0,
        shape: [Int32], strides: [Int32]
    ) -> [UInt8] {
        let id = tuple([
            text("storage"), global("torch", storage), text(key), text("cpu"), integer(numel),
        ])
        let hooks = global("collections", "OrderedDict") + Array(")R".utf8)
        let arguments = tuple([
            id + [UInt8(ascii: "Q")], integer(offset), tuple(shape.map(integer)),
            tuple(strides.map(integer)), [0x89], hooks,
        ])
        return global("torch._utils", "_rebuild_tensor_v2") + arguments + [UInt8(ascii: "R")]
    }

    static func dictionary(_ pairs: [(String, [UInt8])]) -> [UInt8] {
        Array("}(".utf8) + pairs.flatMap { text($0.0) + $0.1 } + [UInt8(ascii: "u")]
    }

    static func whole(_ body: [UInt8]) -> [UInt8] { [0x80, 2] + body + [UInt8(ascii: ".")] }
}

/// A PyTorch archive of one pickle and its storages.
func torchArchive(_ pickle: [UInt8], storages: [[UInt8]] = [], folder: String = "x") -> [UInt8] {
    zip(
        [ZipPart("\(folder)/data.pkl", Pickle.whole(pickle))]
            + storages.enumerated().map { ZipPart("\(folder)/data/\($0)", $1) })
}

/// Fields of a protobuf message.
enum Proto {
    static func varint(_ value: UInt64) -> [UInt8] {
        var rest = value
        var result: [UInt8] = []
        repeat {
            result.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
            rest >>= 7
        } while rest > 0
        return result
    }

    static func integer(_ field: Int, _ value: Int) -> [UInt8] {
        varint(UInt64(field) << 3) + varint(UInt64(bitPattern: Int64(value)))
    }

    static func message(_ field: Int, _ bytes: [UInt8]) -> [UInt8] {
        varint(UInt64(field) << 3 | 2) + varint(UInt64(bytes.count)) + bytes
    }

    static func text(_ field: Int, _ text: String) -> [UInt8] { message(field, Array(text.utf8)) }

    static func float(_ field: Int, _ value: Float) -> [UInt8] {
        varint(UInt64(field) << 3 | 5) + little(value.bitPattern)
    }

    /// An ONNX tensor of raw bytes.
    static func tensor(_ name: String, _ dims: [Int], type: Int = 1, raw: [UInt8]) -> [UInt8] {
        dims.flatMap { integer(1, $0) } + integer(2, type) + text(8, name) + message(9, raw)
    }

    /// An ONNX node.
    static func node(
        _ name: String, _ operation: String, _ inputs: [String], _ outputs: [String],
        _ attributes: [[UInt8]] = []
    ) -> [UInt8] {
        inputs.flatMap { text(1, $0) } + outputs.flatMap { text(2, $0) } + text(3, name)
            + text(4, operation) + attributes.flatMap { message(5, $0) }
    }

    /// An ONNX model of nodes and initialisers.
    static func onnx(nodes: [[UInt8]] = [], initializers: [[UInt8]] = []) -> [UInt8] {
        integer(1, 8)
            + message(7, nodes.flatMap { message(1, $0) } + initializers.flatMap { message(5, $0) })
    }

    /// A piece of a SentencePiece model.
    static func piece(_ text: [UInt8], _ score: Float, _ kind: Int) -> [UInt8] {
        message(1, message(1, text) + float(2, score) + integer(3, kind))
    }

    /// A small Unigram vocabulary of `<unk>`, `<s>`, `</s>` and two pieces, and more.
    static func vocabulary(
        trainer: [UInt8] = integer(3, 1), normalizer: [UInt8] = [], more: [UInt8] = []
    ) -> [UInt8] {
        piece(Array("<unk>".utf8), 0, 2) + piece(Array("<s>".utf8), 0, 3)
            + piece(Array("</s>".utf8), 0, 3) + piece(Array("a".utf8), -1, 1)
            + piece(Array("\u{2581}b".utf8), -2, 1) + more + message(2, trainer)
            + message(3, text(1, "identity") + normalizer)
    }
}

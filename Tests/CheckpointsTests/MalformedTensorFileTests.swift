// Safetensors, NumPy and ONNX files that are cut off, lie about their sizes or use what no network here
// needs: each is refused with its exact error.

import Checkpoints
import Testing

@Suite struct MalformedTensorFileTests {
    static func tensors(_ header: String, _ data: Int = 8) -> [UInt8] {
        SafetensorsTests.file(header, [UInt8](repeating: 0, count: data))
    }

    static func one(
        dtype: String = "F32", shape: String = "[2]", offsets: String = "[0,8]", data: Int = 8
    ) -> [UInt8] {
        tensors(#"{"w":{"dtype":"\#(dtype)","shape":\#(shape),"data_offsets":\#(offsets)}}"#, data)
    }

    static let safetensors: [BadFile] = [
        BadFile(
            "no bytes", [],
            "FILE is not a sound safetensors file: it holds 0 bytes, a header needs 8"),
        BadFile(
            "less than a length", [1, 2, 3],
            "FILE is not a sound safetensors file: it holds 3 bytes, a header needs 8"),
        BadFile(
            "a header of 2^63 bytes", little(UInt64(1) << 63),
            "FILE is not a sound safetensors file: its header claims 9223372036854775808 bytes, at most 100000000 are accepted"
        ),
        BadFile(
            "a header of a gigabyte", little(UInt64(1) << 30),
            "FILE is not a sound safetensors file: its header claims 1073741824 bytes, at most 100000000 are accepted"
        ),
        BadFile(
            "a header beyond the file", little(UInt64(99)) + [0x7B],
            "FILE is not a sound safetensors file: its header claims 99 bytes, the file holds 1 after the length"
        ),
        BadFile(
            "another format", Array("GGUF, which is another format".utf8),
            "FILE is not a sound safetensors file: its header claims 7527520676703717191 bytes, at most 100000000 are accepted"
        ),
        BadFile(
            "a header that is no JSON", tensors("{\"w\":"),
            "FILE is not a sound safetensors file: its header is not JSON: the text ends early at byte 5"
        ),
        BadFile(
            "a header that is a list", tensors("[1]"),
            "FILE is not a sound safetensors file: its header is a list of 1, an object is needed"),
        BadFile(
            "a header of 70 levels", tensors(String(repeating: "[", count: 70)),
            "FILE is not a sound safetensors file: its header is not JSON: more than 64 levels of nesting at byte 64"
        ),
        BadFile(
            "a name twice", tensors(#"{"w":1,"w":2}"#),
            #"FILE is not a sound safetensors file: its header is not JSON: the key "w" stands twice at byte 7"#
        ),
        BadFile(
            "a tensor that is a number", tensors(#"{"w":1}"#),
            "FILE is not a sound safetensors file: tensor w is described by 1"),
        BadFile(
            "no dtype", tensors(#"{"w":{"shape":[2],"data_offsets":[0,8]}}"#),
            "FILE is not a sound safetensors file: tensor w has no dtype"),
        BadFile(
            "an unknown dtype", one(dtype: "F8_E4M3"),
            "FILE: the dtype F8_E4M3 of tensor w is not supported; accepted: BF16, BOOL, F16, F32, F64, I16, I32, I64, I8, U8"
        ),
        BadFile(
            "no shape", tensors(#"{"w":{"dtype":"F32","data_offsets":[0,8]}}"#),
            "FILE is not a sound safetensors file: tensor w has no shape"),
        BadFile(
            "a negative shape", one(shape: "[-2]"),
            "FILE is not a sound safetensors file: tensor w has the absurd shape [-2]"),
        BadFile(
            "a fractional shape", one(shape: "[2.5]"),
            "FILE is not a sound safetensors file: tensor w has the absurd shape [2.5]"),
        BadFile(
            "a shape that overflows", one(shape: "[9000000000,9000000000]"),
            "FILE is not a sound safetensors file: tensor w has the absurd shape [9000000000, 9000000000]"
        ),
        BadFile(
            "offsets the wrong way", one(offsets: "[8,0]"),
            "FILE is not a sound safetensors file: tensor w has no sound data_offsets"),
        BadFile(
            "data past the end", one(offsets: "[0,80]"),
            "FILE is not a sound safetensors file: tensor w ends at byte 80 of the data, which holds 8"
        ),
        BadFile(
            "data of another size", one(offsets: "[0,4]"),
            "FILE is not a sound safetensors file: tensor w [2] of F32 needs 8 bytes, its range holds 4"
        ),
        BadFile(
            "bytes that belong to nothing", one(data: 12),
            "FILE is not a sound safetensors file: its tensors end at byte 8 of the data, which holds 12"
        ),
        BadFile(
            "two tensors in the same bytes",
            tensors(
                #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
                12), "FILE is not a sound safetensors file: tensor b at byte 4 overlaps another"),
    ]

    static func npy(
        descr: String = "<f4", order: String = "False", shape: String = "(2,)", data: Int = 8
    ) -> [UInt8] {
        NumPyTests.file(
            "{'descr': '\(descr)', 'fortran_order': \(order), 'shape': \(shape)}\n",
            [UInt8](repeating: 0, count: data))
    }

    static let arrays: [BadFile] = [
        BadFile(
            "no bytes", [], #"FILE is not a sound NumPy file: it does not begin with \x93NUMPY"#),
        BadFile(
            "another format", "PK\u{3}\u{4} is an .npz",
            #"FILE is not a sound NumPy file: it does not begin with \x93NUMPY"#),
        BadFile(
            "a version of the future", NumPyTests.file("{}", [], version: 9),
            "FILE is not a sound NumPy file: its version is 9; accepted: 1, 2 or 3"),
        BadFile(
            "a header that is cut off", Array(npy().prefix(20)),
            "FILE is not a sound NumPy file: its header is cut off or too long"),
        BadFile(
            "a header that is no dictionary", NumPyTests.file("[1, 2]", []),
            "FILE is not a sound NumPy file: its header is not a dictionary of descr, fortran_order and shape"
        ),
        BadFile(
            "a header that is code", NumPyTests.file("__import__('os')", []),
            "FILE is not a sound NumPy file: its header is not a dictionary of descr, fortran_order and shape"
        ),
        BadFile(
            "Fortran order", npy(order: "True"),
            "FILE: Fortran order is not supported; accepted: C order"),
        BadFile(
            "pickled objects", npy(descr: "|O"),
            "FILE: the element type |O is not supported; accepted: <f2, <f4, <f8, <i4, <i8"),
        BadFile(
            "big-endian numbers", npy(descr: ">f4"),
            "FILE: the element type >f4 is not supported; accepted: <f2, <f4, <f8, <i4, <i8"),
        BadFile(
            "data that is cut off", npy(data: 4),
            "FILE is not a sound NumPy file: its shape [2] needs 8 bytes, 4 follow the header"),
        BadFile(
            "data that goes on", npy(data: 12),
            "FILE is not a sound NumPy file: its shape [2] needs 8 bytes, 12 follow the header"),
        BadFile(
            "an absurd shape", npy(shape: "(9000000000, 9000000000)"),
            "FILE is not a sound NumPy file: its shape [9000000000, 9000000000] is absurd"),
        BadFile(
            "a negative shape", npy(shape: "(-2,)"),
            "FILE is not a sound NumPy file: its shape [-2] is absurd"),
        BadFile(
            "forty axes", npy(shape: "(" + String(repeating: "1, ", count: 40) + ")"),
            "FILE is not a sound NumPy file: its header is not a dictionary of descr, fortran_order and shape"
        ),
    ]

    static func graph(_ tensor: [UInt8]) -> [UInt8] { Proto.onnx(initializers: [tensor]) }

    static let graphs: [BadFile] = [
        BadFile("no bytes", [], "FILE is not a sound ONNX file: it holds 0 graphs, one is needed"),
        BadFile(
            "another format", "<html>404</html>",
            "FILE is not a sound ONNX file: field 7 has the wire type 4 at byte 0"),
        BadFile(
            "half of the file",
            Array(graph(Proto.tensor("w", [2], raw: bytes([1, 2]))).dropLast(5)),
            "FILE is not a sound ONNX file: field 7 claims 19 bytes, 14 are left at byte 2"),
        BadFile(
            "no graph", Proto.integer(1, 8),
            "FILE is not a sound ONNX file: it holds 0 graphs, one is needed"),
        BadFile(
            "a field of 2^60 bytes", Proto.varint(7 << 3 | 2) + Proto.varint(1 << 60),
            "FILE is not a sound ONNX file: field 7 claims 1152921504606846976 bytes, 0 are left at byte 0"
        ),
        BadFile(
            "an endless number", [UInt8](repeating: 0xFF, count: 12),
            "FILE is not a sound ONNX file: a number longer than 64 bits at byte 0"),
        BadFile(
            "a group, which ONNX has not", [0x0B],
            "FILE is not a sound ONNX file: field 1 has the wire type 3 at byte 0"),
        BadFile(
            "an element type it has not", graph(Proto.tensor("w", [1], type: 8, raw: [1])),
            "FILE: the element type 8 of tensor w is not supported; accepted: floats, doubles, halves, bfloat16 and integers of 8 to 64 bits"
        ),
        BadFile(
            "fewer elements than its shape", graph(Proto.tensor("w", [3], raw: bytes([1, 2]))),
            "FILE is not a sound ONNX file: tensor w [3] of float32 needs 12 bytes and holds 8"),
        BadFile(
            "an absurd shape", graph(Proto.tensor("w", [1 << 40, 1 << 40], raw: [])),
            "FILE is not a sound ONNX file: tensor w has the absurd shape [1099511627776, 1099511627776]"
        ),
        BadFile(
            "a negative shape", graph(Proto.tensor("w", [-2], raw: bytes([1, 2]))),
            "FILE is not a sound ONNX file: tensor w has the absurd shape [-2]"),
        BadFile(
            "data in another file", graph(Proto.tensor("w", [1], raw: []) + Proto.integer(14, 1)),
            "FILE: tensor w in another file (external data) is not supported; accepted: weights inside the .onnx file"
        ),
        BadFile(
            "a name twice",
            Proto.onnx(initializers: [
                Proto.tensor("w", [1], raw: bytes([1])), Proto.tensor("w", [1], raw: bytes([1])),
            ]), "FILE is not a sound ONNX file: the initialiser w stands twice"),
    ]

    @Test(arguments: safetensors) func aSafetensorsFileIsRefused(_ file: BadFile) throws {
        try file.expectError { _ = try SafetensorsFile(path: $0) }
    }

    @Test(arguments: arrays) func aNumPyFileIsRefused(_ file: BadFile) throws {
        try file.expectError { _ = try NumPyFile(path: $0) }
    }

    @Test(arguments: graphs) func anONNXFileIsRefused(_ file: BadFile) throws {
        try file.expectError { _ = try ONNXModel(path: $0) }
    }
}

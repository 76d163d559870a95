// Safetensors: what the writer writes the reader reads, sharded folders, and bytes laid out by hand.

import Checkpoints
import TensorCore
import Testing

@Suite struct SafetensorsTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// A file of one header and data, as the format lays it out.
    static func file(_ header: String, _ data: [UInt8]) -> [UInt8] {
        withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian, Array.init)
            + Array(header.utf8) + data
    }

    @Test func readsHandMadeBytesOfEveryFloatType() throws {
        let header = """
            {"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},\
            "b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]},\
            "c":{"dtype":"BF16","shape":[],"data_offsets":[12,14]},\
            "__metadata__":{"format":"pt"}}
            """
        let data: [UInt8] = [
            0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC1,  // 1, -10
            0x00, 0x3C, 0x00, 0xC0,  // 1, -2
            0x40, 0x40,  // 3
        ]
        let file = try SafetensorsFile(
            path: try folder.write("a.safetensors", Self.file(header, data)))
        #expect(file.tensors["a"]?.floats() == [1, -10])
        #expect(file.tensors["a"]?.shape == [1, 2])
        #expect(file.tensors["b"]?.floats() == [1, -2])
        #expect(file.tensors["c"]?.floats() == [3])
        #expect(file.metadata == ["format": "pt"])
    }

    @Test func readsMisalignedTensors() throws {
        let header = """
            {"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},\
            "f":{"dtype":"F32","shape":[1,1],"data_offsets":[1,5]}}
            """
        let path = try folder.write(
            "a.safetensors", Self.file(header, [7, 0, 0, 0x80, 0x3F]))
        let loader = WeightLoader(try SafetensorsFile(path: path), ignoring: ["t"])
        #expect(loader.matrix("f", outputs: 1, inputs: 1).row(0) == [1])
        try loader.finish()
    }

    @Test func writerAndReaderAgree() throws {
        var writer = SafetensorsWriter()
        writer.metadata = ["note": "quotes \" and \\ and \u{1}"]
        writer.add("text", text: "né")
        writer.add("ids", integers: [1, -2, Int.max])
        writer.add("x", shape: [2, 2], floats: [1, 2, 3, -0.5])
        writer.add("empty", shape: [0, 3], floats: [])
        let path = folder.path + "/out.safetensors"
        try writer.write(to: path)
        let file = try SafetensorsFile(path: path)
        #expect(try file.tensors["ids"]?.integers() == [1, -2, Int.max])
        #expect(file.tensors["x"]?.floats() == [1, 2, 3, -0.5])
        #expect(try file.tensors["text"]?.integers() == [0x6E, 0xC3, 0xA9])
        #expect(file.tensors["empty"]?.shape == [0, 3])
        #expect(file.metadata == writer.metadata)
        for tensor in file.tensors.values {
            #expect(tensor.byteOffset % tensor.scalarType.byteCount == 0)
        }
    }

    private func shard(_ name: String, _ tensors: [String: [Float]]) throws {
        var writer = SafetensorsWriter()
        for (key, values) in tensors {
            writer.add(key, shape: [values.count], floats: values)
        }
        try folder.write(name, writer.encoded())
    }

    @Test func followsTheIndexWhateverTheShardsAreCalled() throws {
        try shard("model-00001.safetensors", ["a": [1]])
        try shard("model-00002.safetensors", ["b": [2]])
        try shard("other.safetensors", ["a": [9]])
        let index = """
            {"metadata":{"total_size":8},"weight_map":\
            {"b":"model-00002.safetensors","a":"model-00001.safetensors"}}
            """
        try folder.write("model.safetensors.index.json", index)
        let checkpoint = try openSafetensors(folder.path)
        #expect(checkpoint.tensors["a"]?.floats() == [1])
        #expect(checkpoint.tensors["b"]?.floats() == [2])
        #expect(checkpoint.files.count == 2)
    }

    @Test func readsEveryFileOfAFolderWithoutIndex() throws {
        try shard("one.safetensors", ["a": [1]])
        try shard("two.safetensors", ["b": [2]])
        #expect(try openSafetensors(folder.path).tensors.keys.sorted() == ["a", "b"])
    }

    @Test func refusesATensorInTwoShards() throws {
        try shard("one.safetensors", ["a": [1]])
        try shard("two.safetensors", ["a": [2]])
        #expect {
            try openSafetensors(folder.path)
        } throws: {
            "\($0)"
                == "\(folder.path)/two.safetensors is not a sound safetensors file: tensor a is also "
                + "in \(folder.path)/one.safetensors"
        }
    }

    @Test func namesEveryShardThatIsMissing() throws {
        let index = #"{"weight_map":{"a":"x.safetensors","b":"y.safetensors"}}"#
        try folder.write("model.safetensors.index.json", index)
        #expect {
            try openSafetensors(folder.path)
        } throws: {
            "\($0)"
                == "the bundle has no weights that \(folder.path)/model.safetensors.index.json names; "
                + "looked for \(folder.path)/x.safetensors, \(folder.path)/y.safetensors"
        }
    }

    @Test func refusesAShardOutsideTheFolder() throws {
        try folder.write(
            "model.safetensors.index.json", #"{"weight_map":{"a":"../secret.safetensors"}}"#)
        #expect(throws: CheckpointError.self) { try openSafetensors(folder.path) }
    }
}

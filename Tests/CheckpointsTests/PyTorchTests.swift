// PyTorch archives: a real one, and hand-made pickles for strides, storages and names.

import Checkpoints
import TensorCore
import Testing

@Suite struct PyTorchTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func open(_ bytes: [UInt8]) throws -> PyTorchArchive {
        try PyTorchArchive(path: try folder.write("a.pt", bytes))
    }

    @Test func readsWhatTorchWrites() throws {
        let file = try open(RealFiles.torch)
        #expect(file.tensors.keys.sorted() == ["h", "n", "w"])
        #expect(file.tensors["w"]?.shape == [3, 2])
        #expect(file.tensors["w"]?.floats() == [0, 3, 1, 4, 2, 5])
        #expect(file.tensors["h"]?.floats() == [1.5, -2])
        #expect(try file.tensors["n"]?.integers() == [7])
        #expect(file.tensors["n"]?.shape == [])
        #expect(file.otherKeys == ["epoch"])
    }

    @Test func contiguousTensorsStayInTheFile() throws {
        let pickle = Pickle.dictionary([
            ("a", Pickle.tensor(numel: 4, offset: 1, shape: [3], strides: [1]))
        ])
        let file = try open(torchArchive(pickle, storages: [bytes([1, 2, 3, 4])]))
        let tensor = try #require(file.tensors["a"])
        #expect(tensor.floats() == [2, 3, 4])
        #expect(tensor.storage.count > 100)
    }

    @Test func stridedViewsAreMadeContiguous() throws {
        let pickle = Pickle.dictionary([
            ("columns", Pickle.tensor(numel: 6, shape: [3, 2], strides: [1, 3])),
            ("repeated", Pickle.tensor(numel: 6, offset: 4, shape: [2, 2], strides: [0, 1])),
            ("single", Pickle.tensor(numel: 6, offset: 5, shape: [1, 1], strides: [9, 9])),
            ("none", Pickle.tensor(numel: 6, shape: [0, 5], strides: [5, 1])),
        ])
        let file = try open(torchArchive(pickle, storages: [bytes([0, 1, 2, 3, 4, 5])]))
        #expect(file.tensors["columns"]?.floats() == [0, 3, 1, 4, 2, 5])
        #expect(file.tensors["repeated"]?.floats() == [4, 5, 4, 5])
        #expect(file.tensors["single"]?.floats() == [5])
        #expect(file.tensors["none"]?.elementCount == 0)
    }

    @Test func knowsEveryStorage() throws {
        let kinds: [(String, ScalarType)] = [
            ("DoubleStorage", .float64), ("FloatStorage", .float32), ("HalfStorage", .float16),
            ("BFloat16Storage", .bfloat16), ("LongStorage", .int64), ("IntStorage", .int32),
            ("ShortStorage", .int16), ("CharStorage", .int8), ("ByteStorage", .uint8),
            ("BoolStorage", .bool), ("UntypedStorage", .uint8),
        ]
        let pickle = Pickle.dictionary(
            kinds.enumerated().map { index, kind in
                (
                    kind.0,
                    Pickle.tensor(
                        key: "\(index)", storage: kind.0, numel: 2, shape: [2], strides: [1])
                )
            })
        let storages = kinds.map { [UInt8](repeating: 0, count: 2 * $0.1.byteCount) }
        let file = try open(torchArchive(pickle, storages: storages))
        for (name, type) in kinds {
            #expect(file.tensors[name]?.scalarType == type)
        }
    }

    @Test func anyInnerFolderAndPlainValuesBesideTensors() throws {
        let values: [[UInt8]] = [
            [UInt8(ascii: "N")], [0x88], Pickle.integer(-5), [0x8A, 2, 0, 0xFF],
            [UInt8(ascii: "G"), 0x3F, 0xF0, 0, 0, 0, 0, 0, 0],
            Array("]".utf8) + Pickle.text("x") + Array("a".utf8), [0x8C, 1, UInt8(ascii: "y")],
            [UInt8(ascii: "K"), 1, 0x85], [UInt8(ascii: "C"), 2, 0xFF, 0xFE],
        ]
        let pickle = Pickle.dictionary(
            values.enumerated().map { ("v\($0)", $1) }
                + [("a", Pickle.tensor(numel: 1, shape: [1], strides: [1]))])
        let file = try open(
            torchArchive(pickle, storages: [bytes([3])], folder: "pytorch_model"))
        #expect(file.tensors["a"]?.floats() == [3])
        #expect(file.otherKeys.count == values.count)
    }

    @Test func aModulePrefixStaysUnlessAllNamesHaveIt() throws {
        let tensor = Pickle.tensor(numel: 1, shape: [1], strides: [1])
        let pickle = Pickle.dictionary([("module.a", tensor), ("b", tensor)])
        let file = try open(torchArchive(pickle, storages: [bytes([3])]))
        #expect(file.tensors.keys.sorted() == ["b", "module.a"])
    }

    @Test func containersThatHoldThemselvesAreHarmless() throws {
        // A list that is its own element, and one remembered inside another.
        let cycle = Array("]q".utf8) + [0] + Array("h".utf8) + [0] + Array("a".utf8)
        let pickle = Pickle.dictionary([
            ("cycle", cycle), ("a", Pickle.tensor(numel: 1, shape: [1], strides: [1])),
        ])
        #expect(try open(torchArchive(pickle, storages: [bytes([3])])).otherKeys == ["cycle"])
    }

    @Test func longChainsOfTuplesAreHarmless() throws {
        let chain = Array(")".utf8) + [UInt8](repeating: 0x85, count: 200_000)
        let pickle = Pickle.dictionary([
            ("chain", chain), ("a", Pickle.tensor(numel: 1, shape: [1], strides: [1])),
        ])
        #expect(try open(torchArchive(pickle, storages: [bytes([3])])).otherKeys == ["chain"])
    }

    @Test func sizesMayStandInZip64Fields() throws {
        let pickle = Pickle.whole(
            Pickle.dictionary([("a", Pickle.tensor(numel: 1, shape: [1], strides: [1]))]))
        var data = ZipPart("x/data/0", bytes([3]))
        data.claimedSize = .max
        data.compressedSize = .max
        data.extra = little(UInt16(1)) + little(UInt16(16)) + little(UInt64(4)) + little(UInt64(4))
        let file = try open(zip([ZipPart("x/data.pkl", pickle), data]))
        #expect(file.tensors["a"]?.floats() == [3])
    }
}

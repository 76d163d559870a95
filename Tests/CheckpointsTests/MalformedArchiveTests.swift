// Zip archives and pickles that are cut off, lie about their sizes, or want code to run: each is refused
// with its exact error and nothing is called.

import Checkpoints
import Testing

@Suite struct MalformedArchiveTests {
    static let tensor = Pickle.tensor(numel: 2, shape: [2], strides: [1])
    static let state = Pickle.dictionary([("w", tensor)])
    static let sound = torchArchive(state, storages: [bytes([1, 2])])

    /// The archive with one pickle in place of its own.
    static func archive(_ pickle: [UInt8]) -> [UInt8] {
        torchArchive(pickle, storages: [bytes([1, 2])])
    }

    /// The archive with its parts changed.
    static func broken(_ change: (inout [ZipPart]) -> Void) -> [UInt8] {
        var parts = [
            ZipPart("x/data.pkl", Pickle.whole(state)), ZipPart("x/data/0", bytes([1, 2])),
        ]
        change(&parts)
        return zip(parts)
    }

    /// The archive with a tensor of this shape and place.
    static func view(
        numel: Int32 = 2, offset: Int32 = 0, shape: [Int32], strides: [Int32], key: String = "0"
    ) -> [UInt8] {
        archive(
            Pickle.dictionary([
                (
                    "w",
                    Pickle.tensor(
                        key: key, numel: numel, offset: offset, shape: shape, strides: strides)
                )
            ]))
    }

    static let archives: [BadFile] = [
        BadFile(
            "no bytes", [],
            "FILE is not a sound PyTorch file: it does not begin as a zip archive (PK)"),
        BadFile(
            "another format", Array("not a zip archive at all".utf8),
            "FILE is not a sound PyTorch file: it does not begin as a zip archive (PK)"),
        BadFile(
            "half of the file", Array(sound.prefix(sound.count / 2)),
            "FILE is not a sound zip file: it has no end record (is the file cut off?)"),
        BadFile(
            "a compressed entry", broken { $0[1].method = 8 },
            "FILE: the compressed entry x/data/0 (method 8) is not supported; accepted: stored entries, as torch.save writes them"
        ),
        BadFile(
            "an encrypted entry", broken { $0[1].flags = 1 },
            "FILE: the encrypted entry x/data/0 is not supported; accepted: stored entries"),
        BadFile(
            "a bomb: an entry larger than the file", broken { $0[1].claimedSize = 4_000_000_000 },
            "FILE is not a sound zip file: entry x/data/0 claims 4000000000 bytes at 227, the file holds 367"
        ),
        BadFile(
            "a bomb: two entries share their bytes",
            broken {
                $0.append(ZipPart("x/data/1", bytes([1, 2]))); $0[2].headerOf = 1
            },
            "FILE is not a sound zip file: the header of entry x/data/1 is not where it should be"),
        BadFile(
            "stored bytes of two sizes", broken { $0[1].compressedSize = 4 },
            "FILE is not a sound zip file: the stored entry x/data/0 claims 8 bytes in 4"),
        BadFile(
            "an entry twice", broken { $0.append($0[1]) },
            "FILE is not a sound zip file: the entry x/data/0 stands twice"),
        BadFile(
            "zip64 sizes that are missing", broken { $0[1].claimedSize = .max },
            "FILE is not a sound zip file: entry x/data/0 has no zip64 sizes"),
        BadFile(
            "more entries than its directory", zip([ZipPart("a", [1])], count: 9),
            "FILE is not a sound zip file: its directory is cut off at entry 1"),
        BadFile(
            "a directory beyond the file", zip([ZipPart("a", [1])], directorySize: 1 << 30),
            "FILE is not a sound zip file: its directory claims bytes 32..., 1073741824 long, of 79"
        ),
        BadFile(
            "no pickle", zip([ZipPart("x/data/0", bytes([1]))]),
            "FILE is not a sound PyTorch file: it holds 0 entries named <folder>/data.pkl, one is needed"
        ),
    ]

    static let pickles: [BadFile] = [
        BadFile(
            "a call of a function",
            archive(
                Pickle.global("os", "system") + Pickle.tuple([Pickle.text("true")])
                    + Array("R".utf8)),
            "FILE: the pickled name os.system is not supported; accepted: tensors, dictionaries, lists, tuples, strings and numbers; nothing is called"
        ),
        BadFile(
            "a call of a builtin",
            archive(
                Pickle.global("builtins", "eval") + Pickle.tuple([Pickle.text("1")])
                    + Array("R".utf8)),
            "FILE: the pickled name builtins.eval is not supported; accepted: tensors, dictionaries, lists, tuples, strings and numbers; nothing is called"
        ),
        BadFile(
            "a name from the stack", archive(Pickle.text("posix") + Pickle.text("system") + [0x93]),
            "FILE: the pickled name posix.system is not supported; accepted: tensors, dictionaries, lists, tuples, strings and numbers; nothing is called"
        ),
        BadFile(
            "an instance", archive(Array("(ios\nsystem\n".utf8)),
            "FILE: the pickled object os.system is not supported; accepted: tensors, dictionaries, lists, tuples, strings and numbers; nothing is called"
        ),
        BadFile(
            "an object made by its class",
            archive(Pickle.global("collections", "OrderedDict") + Array(")".utf8) + [0x81]),
            "FILE: a pickled object is not supported; accepted: tensors, dictionaries, lists, tuples, strings and numbers; nothing is called"
        ),
        BadFile(
            "the state of a tensor", archive(tensor + Array("}b".utf8)),
            "FILE: the state of a tensor is not supported; accepted: tensors, dictionaries, lists, tuples, strings and numbers; nothing is called"
        ),
        BadFile(
            "a call of what is no name", archive(Pickle.text("f") + Array(")R".utf8)),
            "FILE: the pickled call of 'f' is not supported; accepted: tensors, dictionaries, lists, tuples, strings and numbers; nothing is called"
        ),
        BadFile(
            "an unknown opcode", archive([0xFF]),
            "FILE is not a sound PyTorch file: the opcode 0xff, which data never needs (pickle byte 3)"
        ),
        BadFile(
            "a text protocol", zip([ZipPart("x/data.pkl", Array("I1\n.".utf8))]),
            "FILE is not a sound PyTorch file: the opcode 0x49, which data never needs (pickle byte 1)"
        ),
        BadFile(
            "a protocol of the future", zip([ZipPart("x/data.pkl", [0x80, 9])]),
            "FILE is not a sound PyTorch file: pickle protocol 9, 2 to 5 are accepted (pickle byte 2)"
        ),
        BadFile(
            "no stop", zip([ZipPart("x/data.pkl", [0x80, 2, 0x7D])]),
            "FILE is not a sound PyTorch file: the pickle ends without a stop (pickle byte 3)"),
        BadFile(
            "a string of two billion bytes",
            zip([ZipPart("x/data.pkl", [0x80, 2, UInt8(ascii: "X")] + little(UInt32(0x7FFF_FFFF)))]
            ),
            "FILE is not a sound PyTorch file: a value of 2147483647 bytes, 0 are left (pickle byte 7)"
        ),
        BadFile(
            "an integer of 200 bytes", zip([ZipPart("x/data.pkl", [0x80, 2, 0x8A, 200])]),
            "FILE is not a sound PyTorch file: an integer of 200 bytes, at most 8 fit (pickle byte 4)"
        ),
        BadFile(
            "nothing to take", archive(Array("0".utf8)),
            "FILE is not a sound PyTorch file: the stack is empty (pickle byte 3)"),
        BadFile(
            "a memory that was never written", archive([UInt8(ascii: "h"), 7]),
            "FILE is not a sound PyTorch file: nothing is remembered as 7 (pickle byte 4)"),
        BadFile(
            "a container inside itself",
            archive(
                Array("]".utf8) + [UInt8(ascii: "q"), 0, UInt8(ascii: "h"), 0, UInt8(ascii: "a")]),
            "FILE is not a sound PyTorch file: it holds a list of 1, a dictionary of tensors is needed"
        ),
        BadFile(
            "no tensors", archive(Array("}".utf8)),
            "FILE is not a sound PyTorch file: its dictionary holds no tensors"),
        BadFile(
            "a storage that is not there", view(shape: [2], strides: [1], key: "7"),
            "FILE is not a sound PyTorch file: tensor w lies in x/data/7, which is not in the archive"
        ),
        BadFile(
            "a storage of another size", view(numel: 3, shape: [2], strides: [1]),
            "FILE is not a sound PyTorch file: tensor w has a storage of 3 float32, its entry holds 8 bytes"
        ),
        BadFile(
            "a shape beyond its storage", view(shape: [3], strides: [1]),
            "FILE is not a sound PyTorch file: tensor w of shape [3], strides [1], offset 0 reaches outside its storage of 2"
        ),
        BadFile(
            "an offset beyond its storage", view(offset: 2, shape: [1], strides: [1]),
            "FILE is not a sound PyTorch file: tensor w of shape [1], strides [1], offset 2 reaches outside its storage of 2"
        ),
        BadFile(
            "a negative offset", view(offset: -1, shape: [1], strides: [1]),
            "FILE is not a sound PyTorch file: tensor w of shape [1], strides [1], offset -1 reaches outside its storage of 2"
        ),
        BadFile(
            "a negative stride", view(shape: [2], strides: [-1]),
            "FILE is not a sound PyTorch file: tensor w of shape [2], strides [-1], offset 0 reaches outside its storage of 2"
        ),
        BadFile(
            "an absurd shape",
            view(shape: [2_000_000_000, 2_000_000_000, 2_000_000_000], strides: [1, 1, 1]),
            "FILE is not a sound PyTorch file: tensor w has the absurd shape [2000000000, 2000000000, 2000000000]"
        ),
        BadFile(
            "a bomb: stride 0", view(shape: [30_000, 30_000], strides: [0, 0]),
            "FILE is not a sound PyTorch file: tensor w unfolds to 900000000 elements from a storage of 2"
        ),
        BadFile(
            "a shape without strides", view(shape: [2, 1], strides: [1]),
            "FILE is not a sound PyTorch file: a tensor of offset 0, shape a tuple of 2, strides a tuple of 1 (pickle byte 152)"
        ),
    ]

    @Test(arguments: archives + pickles) func isRefused(_ file: BadFile) throws {
        try file.expectError { _ = try PyTorchArchive(path: $0).tensors }
    }
}

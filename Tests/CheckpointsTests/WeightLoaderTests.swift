// The choke point: values in every spelling, and one error for everything that does not fit.

import Checkpoints
import TensorCore
import Testing

@Suite struct WeightLoaderTests {
    static func source(_ tensors: [(String, [Int], [Float])]) throws -> NamedTensors {
        var named: [String: StoredTensor] = [:]
        for (name, shape, values) in tensors {
            named[name] = try StoredTensor(
                name: name, shape: shape, scalarType: .float32,
                storage: TensorStorage(copying: bytes(values)), byteOffset: 0)
        }
        return NamedTensors(origin: "test", tensors: named)
    }

    @Test func everyProblemComesInOneError() throws {
        let loader = WeightLoader(
            try Self.source([
                ("a", [2], [1, 2]), ("b", [2], [1, 2]), ("nan", [3], [1, 2, .nan]),
                ("infinite", [1], [-.infinity]), ("extra", [1, 1], [1]), ("skip.x", [1], [1]),
                ("y.tracked", [1], [1]),
            ]), ignoring: ["skip.", "*.tracked"])
        #expect(loader.values("a", [2]) == [1, 2])
        #expect(loader.values("b", [1, 2]) == [0, 0])
        #expect(loader.values("gone", [3]) == [0, 0, 0])
        _ = loader.values("gone", [3])
        _ = loader.values("nan", [3])
        #expect(loader.matrix("wide", outputs: 2, inputs: 3).row(1) == [0, 0, 0])
        _ = loader.values("infinite", [1])
        #expect {
            try loader.finish()
        } throws: {
            "\($0)" == """
                test: 6 tensors do not fit the network:
                  misshapen: b is [2], needed [1, 2]
                  missing: gone [3]
                  not finite: nan holds nan at 2
                  missing: wide [2, 3]
                  not finite: infinite holds -inf at 0
                  unused: extra [1, 1]
                """
        }
    }

    @Test func nothingIsWrongWhenAllIsRead() throws {
        let loader = WeightLoader(try Self.source([("a.w", [2, 1], [1, 2])]), prefix: "a.")
        #expect(loader.has("w"))
        #expect(!loader.has("a.w"))
        #expect(loader.tensor("w", [2, 1]) == Tensor(shape: [2, 1], values: [1, 2]))
        try loader.check()
        try loader.finish()
    }

    @Test func tensorsOutsideThePrefixAreNotItsBusiness() throws {
        let loader = WeightLoader(
            try Self.source([("encoder.w", [1], [5]), ("decoder.w", [1], [6])]),
            prefix: "encoder.")
        #expect(loader.scoped("").values("w", [1]) == [5])
        try loader.finish()
    }

    @Test func scopesShareOneAccount() throws {
        let loader = WeightLoader(
            try Self.source([("l.0.w", [1], [5]), ("l.1.w", [1], [6]), ("l.3.w", [1], [7])]))
        #expect(loader.count("l.#.w") == 2)
        #expect(loader.count("l.#.absent") == 0)
        for index in 0..<2 {
            #expect(loader.scoped("l.\(index).").values("w", [1]) == [5 + Float(index)])
        }
        #expect {
            try loader.finish()
        } throws: {
            "\($0)" == "test: 1 tensor does not fit the network:\n  unused: l.3.w [1]"
        }
    }

    @Test func weightNormIsReadInEverySpelling() throws {
        // v rows (3, 4) and (0, 2) have the norms 5 and 2; g = 10 and 3.
        let v: [Float] = [3, 4, 0, 2]
        let g: [Float] = [10, 3]
        let loader = WeightLoader(
            try Self.source([
                ("old.weight_g", [2, 1, 1], g), ("old.weight_v", [2, 1, 2], v),
                ("new.parametrizations.weight.original0", [2, 1, 1], g),
                ("new.parametrizations.weight.original1", [2, 1, 2], v),
                ("flat.weight_g", [2], g), ("flat.weight_v", [2, 1, 2], v),
                ("plain.weight", [2, 1, 2], [6, 8, 0, 3]),
            ]))
        for name in ["old", "new", "flat", "plain"] {
            #expect(loader.weightNormed(name + ".weight", [2, 1, 2]) == [6, 8, 0, 3])
            #expect(loader.weightNormed(name, [2, 1, 2]) == [6, 8, 0, 3])
        }
        try loader.finish()
    }

    @Test func weightNormWithoutDirectionIsRefused() throws {
        let loader = WeightLoader(
            try Self.source([
                ("c.weight_g", [1, 1], [1]), ("c.weight_v", [1, 2], [0, 0]),
                ("d.weight_g", [1], [1]),
            ]))
        _ = loader.weightNormed("c", [1, 2])
        _ = loader.weightNormed("d", [1, 2])
        _ = loader.weightNormed("e", [1, 2])
        #expect {
            try loader.finish()
        } throws: {
            "\($0)" == """
                test: 3 tensors do not fit the network:
                  unusable: c.weight_v is all zeros in row 0, which has no direction
                  missing: d.weight_v [1, 2]
                  missing: e.weight [1, 2]
                """
        }
    }

    @Test func matricesKeepTheirOrientation() throws {
        let loader = WeightLoader(try Self.source([("m", [2, 3], [1, 2, 3, 4, 5, 6])]))
        #expect(loader.matrix("m", outputs: 2, inputs: 3).row(1) == [4, 5, 6])
        let turned = loader.matrix("m", outputs: 3, inputs: 2, transposed: true)
        #expect(turned.row(2) == [3, 6])
        #expect(loader.matrix("m", outputs: 2, inputs: 3, precision: .bf16).byteCount == 12)
        try loader.finish()
    }

    @Test func nonFiniteValuesAreFoundInEveryFloatTypeAndPlace() throws {
        // 300,000 elements: more than one block of the search.
        let count = 300_000
        let types: [(ScalarType, [UInt8], String)] = [
            (.float16, [0x00, 0x7C], "inf"), (.bfloat16, [0xC0, 0x7F], "nan"),
            (.float32, [0, 0, 0x80, 0xFF], "-inf"),
            (.float64, [0, 0, 0, 0, 0, 0, 0xF0, 0x7F], "inf"),
        ]
        for (type, bad, shown) in types {
            for place in [0, count / 2, count - 1] {
                var data = [UInt8](repeating: 0, count: count * type.byteCount)
                data.replaceSubrange(
                    (place * type.byteCount)..<((place + 1) * type.byteCount), with: bad)
                let tensor = try StoredTensor(
                    name: "x", shape: [count], scalarType: type,
                    storage: TensorStorage(copying: data), byteOffset: 0)
                let loader = WeightLoader(NamedTensors(origin: "test", tensors: ["x": tensor]))
                _ = loader.values("x", [count])
                #expect(loader.problems == [.nonFinite(name: "x", index: place, value: shown)])
            }
        }
    }

    @Test func integersAndFloatsAreNotMixedUp() throws {
        var tensors = try Self.source([("f", [1], [1])]).tensors
        tensors["i"] = try StoredTensor(
            name: "i", shape: [2], scalarType: .int64,
            storage: TensorStorage(copying: little(Int64(4)) + little(Int64(-5))), byteOffset: 0)
        let loader = WeightLoader(NamedTensors(origin: "test", tensors: tensors))
        #expect(loader.integers("i", [2]) == [4, -5])
        #expect(loader.problems.isEmpty)
        _ = loader.integers("f", [1])
        _ = loader.values("i", [2])
        #expect(
            loader.problems.map(\.description) == [
                "unusable: f holds float32, integers are needed",
                "unusable: i holds int64, floating-point numbers are needed",
            ])
    }
}

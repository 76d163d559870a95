// ONNX graphs: a real export, and hand-made messages for every way a weight may be stored or shared.

import Checkpoints
import TensorCore
import Testing

@Suite struct ONNXTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func open(_ bytes: [UInt8]) throws -> ONNXModel {
        try ONNXModel(path: try folder.write("a.onnx", bytes))
    }

    @Test func readsWhatTorchExports() throws {
        let model = try open(RealFiles.onnx)
        #expect(model.inputs == ["x"])
        #expect(model.outputs == ["y"])
        // Stored [inputs, outputs].
        let weight = try model.initializer(ofNode: "/attn/query/MatMul")
        #expect(weight?.shape == [2, 3])
        #expect(weight?.floats() == [1, 3, 5, 2, 4, 6])
        #expect(try model.initializer(ofNode: "/attn/query/Add")?.floats() == [7, 8, 9])
        let named = try model.named([
            ONNXRole("query.weight", node: "/attn/query/MatMul"),
            ONNXRole("query.bias", node: "/absent", initializers: ["attn.query.bias"]),
        ])
        let loader = WeightLoader(named)
        let matrix = loader.matrix("query.weight", outputs: 3, inputs: 2, transposed: true)
        #expect(matrix.row(2) == [5, 6])
        #expect(loader.values("query.bias", [3]) == [7, 8, 9])
        try loader.finish()
    }

    @Test func readsEveryWayOfStoringElements() throws {
        func tensor(_ name: String, _ count: Int, _ type: Int, _ fields: [UInt8]) -> [UInt8] {
            Proto.integer(1, count) + Proto.integer(2, type) + Proto.text(8, name) + fields
        }
        let packed = Proto.varint(1) + Proto.varint(UInt64(bitPattern: -3))
        let model = try open(
            Proto.onnx(initializers: [
                tensor("raw", 2, 1, Proto.message(9, bytes([1, -2]))),
                tensor("packed", 2, 1, Proto.message(4, bytes([3, 4]))),
                tensor("loose", 2, 1, Proto.float(4, 5) + Proto.float(4, 6)),
                tensor("longs", 2, 7, Proto.message(7, packed)),
                tensor("ints", 2, 6, Proto.integer(5, 8) + Proto.integer(5, -9)),
                tensor("halves", 2, 10, Proto.integer(5, 0x3C00) + Proto.integer(5, 0xC000)),
                tensor("bfloats", 1, 16, Proto.message(9, [0x40, 0x40])),
                Proto.message(1, Proto.varint(1) + Proto.varint(2)) + Proto.integer(2, 1)
                    + Proto.text(8, "packedDims") + Proto.message(9, bytes([7, 8])),
            ]))
        #expect(model.tensors["raw"]?.floats() == [1, -2])
        #expect(model.tensors["packed"]?.floats() == [3, 4])
        #expect(model.tensors["loose"]?.floats() == [5, 6])
        #expect(try model.tensors["longs"]?.integers() == [1, -3])
        #expect(try model.tensors["ints"]?.integers() == [8, -9])
        #expect(model.tensors["halves"]?.floats() == [1, -2])
        #expect(model.tensors["bfloats"]?.floats() == [3])
        #expect(model.tensors["packedDims"]?.shape == [1, 2])
    }

    @Test func followsIdentityNodesAndConstants() throws {
        let value =
            Proto.text(1, "value") + Proto.message(5, Proto.tensor("", [1], raw: bytes([2])))
        let number = Proto.text(1, "value_float") + Proto.float(2, 0.5) + Proto.integer(20, 1)
        let model = try open(
            Proto.onnx(
                nodes: [
                    Proto.node("i1", "Identity", ["w"], ["a"]),
                    Proto.node("i2", "Identity", ["a"], ["b"]),
                    Proto.node("c", "Constant", [], ["k"], [value]),
                    Proto.node("n", "Constant", [], ["f"], [number]),
                    Proto.node("/scope/lin/Add", "Add", ["b", "x"], ["y"]),
                    Proto.node("/scope/lin/Mul", "Mul", ["y", "k"], ["z"]),
                    Proto.node("/scope/lin/Div", "Div", ["z", "f"], ["out"]),
                ],
                initializers: [Proto.tensor("w", [1], raw: bytes([9]))]))
        #expect(try model.initializer(ofNode: "/lin/Add")?.floats() == [9])
        #expect(try model.initializer(ofNode: "/lin/Add", input: 1) == nil)
        #expect(try model.initializer(ofNode: "/lin/Mul")?.floats() == [2])
        #expect(try model.initializer(ofNode: "/lin/Div")?.floats() == [0.5])
        #expect(try model.initializers(ofNode: "/none").isEmpty)
        #expect(model.producer(of: "z")?.name == "/scope/lin/Mul")
        #expect(model.consumers(of: "y").map(\.name) == ["/scope/lin/Mul"])
    }

    @Test func readsAttributes() throws {
        let strides =
            Proto.text(1, "strides") + Proto.integer(8, 2) + Proto.integer(8, 1)
            + Proto.integer(20, 7)
        let pads = Proto.text(1, "pads") + Proto.message(8, [1, 1]) + Proto.integer(20, 7)
        let group = Proto.text(1, "group") + Proto.integer(3, 4) + Proto.integer(20, 2)
        let epsilon = Proto.text(1, "epsilon") + Proto.float(2, 0.25) + Proto.integer(20, 1)
        let zero = Proto.text(1, "axis") + Proto.integer(20, 2)
        let model = try open(
            Proto.onnx(nodes: [
                Proto.node(
                    "/conv/Conv", "Conv", ["x"], ["y"], [strides, pads, group, epsilon, zero])
            ]))
        let node = try #require(try model.node(named: "/conv/Conv"))
        #expect(node.integers("strides") == [2, 1])
        #expect(node.integers("pads") == [1, 1])
        #expect(node.integer("group") == 4)
        #expect(node.float("epsilon") == 0.25)
        #expect(node.integer("axis") == 0)
        #expect(node.integer("dilations") == nil)
    }

    @Test func theShortestScopeWins() throws {
        let model = try open(
            Proto.onnx(nodes: [
                Proto.node("/m/head/layer/conv1/Conv", "Conv", [], ["a"]),
                Proto.node("/m/conv1/Conv", "Conv", [], ["b"]),
                Proto.node("/m/left/x/Conv", "Conv", [], ["c"]),
                Proto.node("/m/right/x/Conv", "Conv", [], ["d"]),
            ]))
        #expect(try model.node(named: "/conv1/Conv")?.outputs == ["b"])
        #expect(try model.node(named: "/conv2/Conv") == nil)
        #expect {
            try model.node(named: "/x/Conv")
        } throws: {
            "\($0)"
                == "\(model.origin): 2 nodes end with /x/Conv (/m/left/x/Conv, /m/right/x/Conv); "
                + "exactly one is accepted"
        }
    }

    @Test func whatNoRoleClaimsIsReportedAsUnused() throws {
        let model = try open(
            Proto.onnx(
                nodes: [Proto.node("/a/MatMul", "MatMul", ["x", "w"], ["y"])],
                initializers: [
                    Proto.tensor("w", [2], raw: bytes([1, 2])),
                    Proto.tensor("extra", [2], raw: bytes([1, 2])),
                    Proto.tensor("epsilon", [], raw: bytes([1])),
                ]))
        let loader = WeightLoader(try model.named([ONNXRole("weight", node: "/a/MatMul")]))
        #expect(loader.values("weight", [2]) == [1, 2])
        #expect {
            try loader.finish()
        } throws: {
            ($0 as? CheckpointError)
                == .weights(origin: model.origin, problems: [.unused(name: "extra", shape: [2])])
        }
    }
}

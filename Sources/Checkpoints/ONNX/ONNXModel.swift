// An ONNX model's graph and initialisers, read with the package's own protobuf reader. Weights stay in
// the mapped file. Field numbers are those of onnx.proto3.

import TensorCore

/// A graph with its weights, memory-mapped.
public struct ONNXModel: TensorSource {
    /// The initialisers by name.
    public let tensors: [String: StoredTensor]
    /// The file's path.
    public let origin: String
    /// The operations in the file's order.
    public let nodes: [ONNXNode]
    /// Names of the graph's inputs that are not initialisers.
    public let inputs: [String]
    /// Names of the graph's outputs.
    public let outputs: [String]
    /// The node that makes each value.
    let producers: [String: Int]

    static let maximumNodes = 1_000_000

    /// Names of the initialisers, sorted.
    public var initializerNames: [String] { tensors.keys.sorted() }

    /// Maps a file and reads its graph; throws `CheckpointError`.
    public init(path: String) throws {
        let storage = try TensorStorage(checkpoint: path)
        var parts = GraphParts()
        do {
            var graphs = 0
            var model = ProtobufReader(storage)
            while let field = try model.next() {
                if field.number == 7 {
                    graphs += 1
                    try parts.read(
                        ProtobufReader(storage, try model.range(field)), path: path)
                }
            }
            guard graphs == 1 else {
                throw CheckpointError.malformed(
                    path: path, format: "ONNX", reason: "it holds \(graphs) graphs, one is needed")
            }
        } catch let error as ProtobufError {
            throw CheckpointError.malformed(path: path, format: "ONNX", reason: error.description)
        }
        origin = path
        tensors = parts.tensors
        nodes = parts.nodes
        outputs = parts.outputs
        inputs = parts.inputs.filter { parts.tensors[$0] == nil }
        var producers: [String: Int] = [:]
        for (index, node) in parts.nodes.enumerated() {
            for output in node.outputs where !output.isEmpty {
                guard producers.updateValue(index, forKey: output) == nil,
                    parts.tensors[output] == nil
                else {
                    throw CheckpointError.malformed(
                        path: path, format: "ONNX", reason: "the value \(output) is made twice")
                }
            }
        }
        self.producers = producers
    }
}

/// What a graph message holds.
private struct GraphParts {
    var tensors: [String: StoredTensor] = [:]
    var nodes: [ONNXNode] = []
    var inputs: [String] = []
    var outputs: [String] = []

    mutating func read(_ message: ProtobufReader, path: String) throws {
        var reader = message
        let storage = reader.storage
        while let field = try reader.next() {
            switch field.number {
            case 1:
                guard nodes.count < ONNXModel.maximumNodes else {
                    throw CheckpointError.malformed(
                        path: path, format: "ONNX",
                        reason: "more than \(ONNXModel.maximumNodes) nodes")
                }
                nodes.append(
                    try Self.node(ProtobufReader(storage, try reader.range(field)), path: path))
            case 5:
                let tensor = try ONNXTensorReader(path: path).read(
                    ProtobufReader(storage, try reader.range(field)))
                guard tensors.updateValue(tensor, forKey: tensor.name) == nil else {
                    throw CheckpointError.malformed(
                        path: path, format: "ONNX",
                        reason: "the initialiser \(tensor.name) stands twice")
                }
            case 11: inputs.append(try Self.valueName(reader, field))
            case 12: outputs.append(try Self.valueName(reader, field))
            case 15:
                throw CheckpointError.unsupported(
                    path: path, what: "a sparse initialiser", accepted: "dense initialisers")
            default: break
            }
        }
    }

    private static func valueName(
        _ reader: ProtobufReader, _ field: ProtobufField
    ) throws -> String {
        var info = ProtobufReader(reader.storage, try reader.range(field))
        while let part = try info.next() {
            if part.number == 1 { return try info.string(part) }
        }
        return ""
    }

    private static func node(_ message: ProtobufReader, path: String) throws -> ONNXNode {
        var reader = message
        var name = ""
        var operation = ""
        var inputs: [String] = []
        var outputs: [String] = []
        var attributes: [String: ONNXAttribute] = [:]
        while let field = try reader.next() {
            switch field.number {
            case 1: inputs.append(try reader.string(field))
            case 2: outputs.append(try reader.string(field))
            case 3: name = try reader.string(field)
            case 4: operation = try reader.string(field)
            case 5:
                let (key, value) = try attribute(
                    ProtobufReader(reader.storage, try reader.range(field)), path: path)
                attributes[key] = value
            default: break
            }
        }
        return ONNXNode(
            name: name, operation: operation, inputs: inputs, outputs: outputs,
            attributes: attributes)
    }

    private static func attribute(
        _ message: ProtobufReader, path: String
    ) throws -> (String, ONNXAttribute) {
        var reader = message
        var name = ""
        var value = ONNXAttribute.other
        var floats: [Float] = []
        var integers: [Int] = []
        var kind: Int?
        while let field = try reader.next() {
            switch field.number {
            case 1: name = try reader.string(field)
            case 2: value = .float(try reader.float(field))
            case 3: value = .integer(try reader.integer(field))
            case 4:
                // A byte string need not be text; weights never depend on one that is not.
                value = (try? reader.string(field)).map { .string($0) } ?? .other
            case 5:
                value = .tensor(
                    try ONNXTensorReader(path: path).read(
                        ProtobufReader(reader.storage, try reader.range(field))))
            case 7: floats.append(contentsOf: try reader.floats(field))
            case 8: integers.append(contentsOf: try reader.integers(field))
            case 20: kind = try reader.integer(field)
            default: break
            }
        }
        // A value equal to the format's default may be left out; the kind tells what it is.
        switch (kind, value) {
        case (6, _): value = .floats(floats)
        case (7, _): value = .integers(integers)
        case (1, .other): value = .float(0)
        case (2, .other): value = .integer(0)
        case (nil, .other) where !floats.isEmpty: value = .floats(floats)
        case (nil, .other) where !integers.isEmpty: value = .integers(integers)
        default: break
        }
        return (name, value)
    }
}

// Finding weights in a graph whose initialisers have anonymous names: by the node that uses them. An
// exporter may put a scope before node names, and may share equal weights through Identity nodes.

import TensorCore

extension ONNXModel {
    /// The node whose name is `name`, or ends with it behind a scope; nil when there is none.
    ///
    /// Of several, the one with the shortest scope counts; throws when that is not one.
    public func node(named name: String) throws -> ONNXNode? {
        if let exact = nodes.first(where: { $0.name == name }) { return exact }
        let suffix = name.hasPrefix("/") ? name : "/" + name
        func depth(_ node: ONNXNode) -> Int { node.name.utf8.count { $0 == UInt8(ascii: "/") } }
        let candidates = nodes.filter { $0.name.hasSuffix(suffix) }
        let shallowest = candidates.map(depth).min() ?? 0
        let matches = candidates.filter { depth($0) == shallowest }
        guard matches.count <= 1 else {
            throw CheckpointError.ambiguousNode(
                path: origin, name: name, matches: matches.map(\.name))
        }
        return matches.first
    }

    /// The constant behind a value, nil when it is computed.
    ///
    /// It may be an initialiser or a Constant node's tensor, behind any number of Identity nodes. Throws
    /// when the Identity nodes go in a circle.
    public func constant(_ value: String) throws -> StoredTensor? {
        try resolve(value)?.tensor
    }

    /// The constant inputs of a node in the order of its inputs; computed inputs are left out.
    ///
    /// Empty when there is no such node.
    public func initializers(ofNode name: String) throws -> [StoredTensor] {
        guard let node = try node(named: name) else { return [] }
        return try node.inputs.compactMap { try constant($0) }
    }

    /// The constant that a node has as its input of this index, or its only constant input.
    ///
    /// Nil when there is no such node or the input is computed.
    public func initializer(ofNode name: String, input: Int? = nil) throws -> StoredTensor? {
        guard let node = try node(named: name) else { return nil }
        if let input {
            return node.inputs.indices.contains(input) ? try constant(node.inputs[input]) : nil
        }
        let constants = try node.inputs.compactMap { try constant($0) }
        return constants.count == 1 ? constants[0] : nil
    }

    /// The node that makes a value, nil for inputs and initialisers.
    public func producer(of value: String) -> ONNXNode? {
        producers[value].map { nodes[$0] }
    }

    /// The nodes that use a value, in the file's order.
    public func consumers(of value: String) -> [ONNXNode] {
        nodes.filter { $0.inputs.contains(value) }
    }

    /// A constant and the initialiser it is, nil for a Constant node.
    func resolve(_ value: String) throws -> (tensor: StoredTensor, initializer: String?)? {
        var name = value
        var seen: Set<String> = []
        while seen.insert(name).inserted {
            if let tensor = tensors[name] { return (tensor, name) }
            guard let node = producer(of: name) else { return nil }
            switch node.operation {
            case "Constant":
                return Self.constantTensor(node).map { ($0, nil) }
            case "Identity" where node.inputs.count == 1:
                name = node.inputs[0]
            default: return nil
            }
        }
        throw CheckpointError.malformed(
            path: origin, format: "ONNX",
            reason: "the Identity nodes before \(value) go in a circle")
    }

    private static func constantTensor(_ node: ONNXNode) -> StoredTensor? {
        func stored(_ shape: [Int], _ type: ScalarType, _ bytes: [UInt8]) -> StoredTensor? {
            try? StoredTensor(
                name: node.name, shape: shape, scalarType: type,
                storage: TensorStorage(copying: bytes), byteOffset: 0)
        }
        func bytes(_ values: [Float]) -> [UInt8] {
            values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
        }
        func bytes(_ values: [Int]) -> [UInt8] {
            values.flatMap { withUnsafeBytes(of: Int64($0).littleEndian, Array.init) }
        }
        if case .tensor(let tensor) = node.attributes["value"] { return tensor }
        if case .float(let value) = node.attributes["value_float"] {
            return stored([], .float32, bytes([value]))
        }
        if case .integer(let value) = node.attributes["value_int"] {
            return stored([], .int64, bytes([value]))
        }
        if case .floats(let values) = node.attributes["value_floats"] {
            return stored([values.count], .float32, bytes(values))
        }
        if case .integers(let values) = node.attributes["value_ints"] {
            return stored([values.count], .int64, bytes(values))
        }
        return nil
    }
}

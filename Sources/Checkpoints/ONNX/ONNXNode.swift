// The parts of an ONNX graph that a network is read from: nodes with their attributes.

import TensorCore

/// An attribute of a node.
public enum ONNXAttribute: Sendable {
    case float(Float)
    case integer(Int)
    case string(String)
    case tensor(StoredTensor)
    case floats([Float])
    case integers([Int])
    /// A kind that weights never need, such as a graph.
    case other
}

/// One operation of a graph.
public struct ONNXNode: Sendable {
    /// The exporter's name, such as `/blocks.0/attn/query/MatMul`.
    public let name: String
    /// The operator, such as `MatMul`.
    public let operation: String
    /// Names of its inputs; an empty name is an input left out.
    public let inputs: [String]
    /// Names of its outputs.
    public let outputs: [String]
    /// Attributes by name.
    public let attributes: [String: ONNXAttribute]

    /// An attribute that is an integer.
    public func integer(_ name: String) -> Int? {
        if case .integer(let value) = attributes[name] { value } else { nil }
    }

    /// An attribute that is a list of integers, such as `strides`, `pads`, `dilations` or
    /// `kernel_shape`.
    public func integers(_ name: String) -> [Int]? {
        if case .integers(let values) = attributes[name] { values } else { nil }
    }

    /// An attribute that is a float, such as `epsilon`.
    public func float(_ name: String) -> Float? {
        if case .float(let value) = attributes[name] { value } else { nil }
    }
}

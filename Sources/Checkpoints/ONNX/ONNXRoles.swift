// Gives a graph's anonymous weights the names of their roles, so that a network asks for
// `blocks.0.attn.query.weight` whatever the exporter called it, and the weight loader can tell what is
// missing and what nobody used.

import TensorCore

/// Where one weight of a network may be found in a graph.
public struct ONNXRole: Sendable {
    /// The name the network asks for.
    public let name: String
    /// The node that uses it, such as `/blocks.0/attn/query/MatMul`; nil when only names count.
    public let node: String?
    /// Which input of the node it is; nil for its only constant input.
    public let input: Int?
    /// Initialisers that hold it when the node does not lead to it, tried in order.
    public let initializers: [String]

    /// Describes a role.
    public init(_ name: String, node: String?, input: Int? = nil, initializers: [String] = []) {
        self.name = name
        self.node = node
        self.input = input
        self.initializers = initializers
    }
}

extension ONNXModel {
    /// The graph's weights under the names of their roles.
    ///
    /// A role that is not found is left out, so that the loader reports it. Initialisers of floats
    /// with more than one element that no role claims stay under their own names, so that they are
    /// reported as unused. Throws when a node's name is ambiguous.
    public func named(_ roles: [ONNXRole]) throws -> NamedTensors {
        var byRole: [String: StoredTensor] = [:]
        var claimed: Set<String> = []
        for role in roles {
            guard let found = try find(role) else { continue }
            byRole[role.name] = found.tensor
            if let initializer = found.initializer {
                claimed.insert(initializer)
            }
        }
        for (name, tensor) in tensors
        where !claimed.contains(name) && tensor.isFloating && tensor.elementCount > 1
            && byRole[name] == nil
        {
            byRole[name] = tensor
        }
        return NamedTensors(origin: origin, tensors: byRole)
    }

    private func find(_ role: ONNXRole) throws -> (tensor: StoredTensor, initializer: String?)? {
        if let name = role.node, let node = try node(named: name) {
            if let input = role.input {
                if node.inputs.indices.contains(input),
                    let found = try resolve(node.inputs[input])
                {
                    return found
                }
            } else {
                let found = try node.inputs.compactMap { try resolve($0) }
                if found.count == 1 { return found[0] }
            }
        }
        for name in role.initializers {
            if let tensor = tensors[name] { return (tensor, name) }
        }
        return nil
    }
}

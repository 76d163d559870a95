// What every checkpoint format gives: named tensors, and where they came from for messages.

import TensorCore

/// Named tensors of a checkpoint.
public protocol TensorSource: Sendable {
    /// All tensors by name; their bytes stay in the mapped file until they are read.
    var tensors: [String: StoredTensor] { get }
    /// The file or folder they came from.
    var origin: String { get }
}

/// Tensors gathered in memory, or taken from another source under other names.
public struct NamedTensors: TensorSource {
    /// All tensors by name.
    public let tensors: [String: StoredTensor]
    /// The file or folder they came from.
    public let origin: String

    /// Gathers tensors.
    public init(origin: String, tensors: [String: StoredTensor]) {
        self.tensors = tensors
        self.origin = origin
    }
}

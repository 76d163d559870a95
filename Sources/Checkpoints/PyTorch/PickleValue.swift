// What a restricted pickle can hold: plain data, references to tensor storages, and tensors. Containers
// are boxes because a pickle fills them after they have been stored elsewhere.

import TensorCore

/// A value built by the unpickler.
enum PickleValue {
    case nothing
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case string(String)
    case bytes(Int)
    case container(PickleContainer)
    /// A name that is allowed, such as `torch.FloatStorage`; it is never called as code.
    case global(PickleGlobal)
    case storage(StorageReference)
    case tensor(TensorReference)

    /// How messages show it.
    var summary: String {
        switch self {
        case .nothing: "None"
        case .bool(let value): value ? "True" : "False"
        case .integer(let value): "\(value)"
        case .float(let value): "\(value)"
        case .string(let text): "'\(text.prefix(60))'"
        case .bytes(let count): "\(count) bytes"
        case .container(let box): "a \(box.kind.rawValue) of \(box.count)"
        case .global(let global): global.description
        case .storage: "a storage"
        case .tensor: "a tensor"
        }
    }

    /// The value as an integer; Python's booleans count.
    var asInteger: Int? {
        switch self {
        case .integer(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    /// The elements of a tuple or list.
    var elements: [PickleValue]? {
        if case .container(let box) = self, box.kind != .dictionary { box.items } else { nil }
    }
}

/// A tuple, list or dictionary.
///
/// The unpickler owns all of them and empties them when it is done, so
/// that neither cycles nor long chains outlive it.
final class PickleContainer {
    enum Kind: String { case tuple, list, dictionary }

    let kind: Kind
    var items: [PickleValue] = []
    var pairs: [(key: PickleValue, value: PickleValue)] = []

    init(_ kind: Kind, _ items: [PickleValue] = []) {
        self.kind = kind
        self.items = items
    }

    var count: Int { items.count + pairs.count }
}

/// The only names a pickle may mention.
enum PickleGlobal: Equatable, CustomStringConvertible {
    case orderedDictionary
    case rebuildTensor
    case rebuildTypedTensor
    case rebuildParameter
    /// `torch.FloatStorage` and its kin; an untyped storage counts bytes.
    case storageType(ScalarType)
    /// `torch.float32` and its kin.
    case elementType(ScalarType)

    static let storageTypes: [String: ScalarType] = [
        "torch.DoubleStorage": .float64, "torch.FloatStorage": .float32,
        "torch.HalfStorage": .float16, "torch.BFloat16Storage": .bfloat16,
        "torch.LongStorage": .int64, "torch.IntStorage": .int32, "torch.ShortStorage": .int16,
        "torch.CharStorage": .int8, "torch.ByteStorage": .uint8, "torch.BoolStorage": .bool,
        "torch.UntypedStorage": .uint8, "torch.storage.UntypedStorage": .uint8,
    ]

    static let elementTypes: [String: ScalarType] = [
        "torch.float64": .float64, "torch.float32": .float32, "torch.float16": .float16,
        "torch.bfloat16": .bfloat16, "torch.int64": .int64, "torch.int32": .int32,
        "torch.int16": .int16, "torch.int8": .int8, "torch.uint8": .uint8, "torch.bool": .bool,
    ]

    /// Nil for every name that is not allowed.
    init?(module: String, name: String) {
        let full = module + "." + name
        switch full {
        case "collections.OrderedDict": self = .orderedDictionary
        case "torch._utils._rebuild_tensor_v2": self = .rebuildTensor
        case "torch._utils._rebuild_tensor_v3": self = .rebuildTypedTensor
        case "torch._utils._rebuild_parameter": self = .rebuildParameter
        default:
            if let type = Self.storageTypes[full] {
                self = .storageType(type)
            } else if let type = Self.elementTypes[full] {
                self = .elementType(type)
            } else {
                return nil
            }
        }
    }

    var description: String {
        switch self {
        case .orderedDictionary: "collections.OrderedDict"
        case .rebuildTensor: "torch._utils._rebuild_tensor_v2"
        case .rebuildTypedTensor: "torch._utils._rebuild_tensor_v3"
        case .rebuildParameter: "torch._utils._rebuild_parameter"
        case .storageType(let type): "a torch storage of \(type.rawValue)"
        case .elementType(let type): "torch.\(type.rawValue)"
        }
    }
}

/// A storage: the archive's file `data/<key>`.
struct StorageReference: Equatable {
    let key: String
    let type: ScalarType
    let elementCount: Int
}

/// A strided view of a storage; offset and strides count elements.
struct TensorReference: Equatable {
    let storage: StorageReference
    let type: ScalarType
    let offset: Int
    let shape: [Int]
    let strides: [Int]
}

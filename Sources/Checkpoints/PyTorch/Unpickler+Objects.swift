// The opcodes that build containers, and the few "calls" that make tensors: they are read as data.

import TensorCore

extension Unpickler {
    static let maximumRank = 16

    mutating func executeContainer(_ opcode: UInt8) throws {
        switch opcode {
        case UInt8(ascii: ")"): try push(.tuple, [])
        case 0x85: try push(.tuple, [try pop()])
        case 0x86:
            let second = try pop()
            try push(.tuple, [try pop(), second])
        case 0x87:
            let third = try pop()
            let second = try pop()
            try push(.tuple, [try pop(), second, third])
        case UInt8(ascii: "t"): try push(.tuple, try popToMark())
        case UInt8(ascii: "]"): try push(.list, [])
        case UInt8(ascii: "l"): try push(.list, try popToMark())
        case UInt8(ascii: "}"): try push(.dictionary, [])
        case UInt8(ascii: "d"):
            let values = try popToMark()
            let box = try make(.dictionary)
            try set(values, in: box)
            stack.append(.container(box))
        case UInt8(ascii: "a"):
            let value = try pop()
            try container(.list).items.append(value)
        case UInt8(ascii: "e"):
            let values = try popToMark()
            try container(.list).items.append(contentsOf: values)
        case UInt8(ascii: "s"):
            let value = try pop()
            let key = try pop()
            try set([key, value], in: try container(.dictionary))
        case UInt8(ascii: "u"):
            let values = try popToMark()
            try set(values, in: try container(.dictionary))
        default:
            throw malformed("the opcode 0x\(String(opcode, radix: 16)), which data never needs")
        }
    }

    private mutating func push(_ kind: PickleContainer.Kind, _ items: [PickleValue]) throws {
        stack.append(.container(try make(kind, items)))
    }

    /// The container on top of the stack, which must be of a kind.
    private func container(_ kind: PickleContainer.Kind) throws -> PickleContainer {
        let value = try top()
        guard case .container(let box) = value, box.kind == kind else {
            throw malformed("\(value.summary) where a \(kind.rawValue) is needed")
        }
        return box
    }

    private func set(_ values: [PickleValue], in box: PickleContainer) throws {
        guard values.count.isMultiple(of: 2) else { throw malformed("a key without a value") }
        for index in stride(from: 0, to: values.count, by: 2) {
            box.pairs.append((values[index], values[index + 1]))
        }
    }

    /// `('storage', torch.FloatStorage, '0', 'cpu', count)` becomes a reference.
    mutating func pushStorage(_ id: PickleValue) throws {
        guard let fields = id.elements, fields.count >= 5, case .string("storage") = fields[0],
            case .global(.storageType(let type)) = fields[1], case .string(let key) = fields[2],
            let count = fields[4].asInteger, count >= 0
        else { throw malformed("\(id.summary) as the name of a storage") }
        stack.append(.storage(StorageReference(key: key, type: type, elementCount: count)))
    }

    /// What a listed name gives for its arguments; nothing is called.
    mutating func reduce(_ callee: PickleValue, _ arguments: PickleValue) throws -> PickleValue {
        guard case .global(let global) = callee, let fields = arguments.elements else {
            throw forbidden("the pickled call of \(callee.summary)")
        }
        switch global {
        case .orderedDictionary: return try orderedDictionary(fields)
        case .rebuildTensor where (6...7).contains(fields.count):
            return try tensor(fields, type: nil)
        case .rebuildTypedTensor where (7...8).contains(fields.count):
            guard case .global(.elementType(let type)) = fields[6] else {
                throw malformed("a tensor of \(fields[6].summary)")
            }
            return try tensor(fields, type: type)
        case .rebuildParameter where !fields.isEmpty:
            guard case .tensor = fields[0] else {
                throw malformed("a parameter of \(fields[0].summary)")
            }
            return fields[0]
        default: throw forbidden("the pickled call of \(global) with \(fields.count) arguments")
        }
    }

    private mutating func orderedDictionary(_ arguments: [PickleValue]) throws -> PickleValue {
        let box = try make(.dictionary)
        guard let first = arguments.first else { return .container(box) }
        guard arguments.count == 1, let pairs = first.elements else {
            throw malformed("an OrderedDict of \(first.summary)")
        }
        for pair in pairs {
            guard let fields = pair.elements, fields.count == 2 else {
                throw malformed("an OrderedDict of \(pair.summary)")
            }
            box.pairs.append((fields[0], fields[1]))
        }
        return .container(box)
    }

    private func tensor(_ fields: [PickleValue], type: ScalarType?) throws -> PickleValue {
        guard case .storage(let storage) = fields[0] else {
            throw malformed("a tensor in \(fields[0].summary)")
        }
        guard let offset = fields[1].asInteger, let shape = integers(fields[2]),
            let strides = integers(fields[3]), shape.count == strides.count,
            shape.count <= Self.maximumRank
        else {
            throw malformed(
                "a tensor of offset \(fields[1].summary), shape \(fields[2].summary), strides "
                    + fields[3].summary)
        }
        return .tensor(
            TensorReference(
                storage: storage, type: type ?? storage.type, offset: offset, shape: shape,
                strides: strides))
    }

    private func integers(_ value: PickleValue) -> [Int]? {
        guard let elements = value.elements, elements.count <= Self.maximumRank else { return nil }
        let values = elements.compactMap(\.asInteger)
        return values.count == elements.count ? values : nil
    }
}

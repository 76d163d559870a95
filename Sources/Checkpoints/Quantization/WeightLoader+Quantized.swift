// Quantised matrices as other tools store them, brought into our blocks without another rounding:
// compressed-tensors (`pack-quantized` with 4 or 8 bits, `int-quantized` with 8), AWQ (4 bits) and
// int8 rows with bitsandbytes' SCB scales. Symmetric 4-bit codes become int4 blocks; codes with other
// zero points do not fit four bits around zero and become int8. Scales are kept in bf16.

import TensorCore

/// A matrix of whole numbers with one scale for `group` neighbouring inputs of an output.
struct CodedMatrix {
    let outputs: Int
    let inputs: Int
    let group: Int
    let precision: WeightPrecision
    /// The number at (output, input), its zero point taken off.
    let code: (Int, Int) -> Int
    /// The scale of (output, group).
    let scale: (Int, Int) -> Float

    /// The matrix in blocks.
    func matrix() -> WeightMatrix {
        WeightMatrix(outputs: outputs, inputs: inputs, precision: precision) {
            output, codes, scales in
            for input in 0..<inputs {
                codes[input] = Int8(truncatingIfNeeded: code(output, input))
            }
            for block in scales.indices {
                scales[block] = scale(output, block * QuantizedBlocks.group / group)
            }
        }
    }
}

extension WeightLoader {
    /// The matrix of `name` where the checkpoint holds it quantised, nil where it does not.
    ///
    /// A quantised matrix that does not fit is recorded and replaced by a placeholder.
    func quantized(_ name: String, outputs: Int, inputs: Int) -> WeightMatrix? {
        let base = name.hasSuffix(".weight") ? String(name.dropLast(7)) : name
        do {
            if let blocks = ledger.tensors[prefix + name], blocks.shape.count == 3 {
                return try ownBlocks(name, outputs: outputs, inputs: inputs)
            }
            guard let coded = try codedMatrix(base, outputs: outputs, inputs: inputs) else {
                return nil
            }
            return coded.matrix()
        } catch let problem as WeightProblem {
            ledger.record(problem)
        } catch {
            ledger.record(.unusable(name: prefix + name, reason: "\(error)"))
        }
        return ledger.placeholder(outputs: outputs, inputs: inputs, precision: .bf16)
    }

    private func ownBlocks(
        _ name: String, outputs: Int, inputs: Int
    ) throws -> WeightMatrix? {
        guard let stored = ledger.take(prefix + name) else { return nil }
        let precision = QuantizedBlocks.precision(stored) ?? .int8
        let expected = QuantizedBlocks.shape(
            outputs: outputs, inputs: inputs, precision: precision)
        guard stored.shape == expected else {
            throw WeightProblem.misshapen(
                name: prefix + name, shape: stored.shape, expected: expected)
        }
        let matrix = try WeightMatrix(blocks: stored, outputs: outputs, inputs: inputs)
        if let output = matrix.firstRowWithBadScale() {
            throw WeightProblem.unusable(
                name: prefix + name, reason: "has a scale that is not finite in row \(output)")
        }
        return matrix
    }

    private func codedMatrix(_ base: String, outputs: Int, inputs: Int) throws -> CodedMatrix? {
        let full = prefix + base
        if ledger.tensors[full + ".weight_packed"] != nil {
            return try packed(full, outputs: outputs, inputs: inputs)
        }
        if ledger.tensors[full + ".qweight"] != nil {
            return try activationAware(full, outputs: outputs, inputs: inputs)
        }
        if ledger.tensors[full + ".weight"]?.scalarType == .int8 {
            return try wholeRows(full, outputs: outputs, inputs: inputs)
        }
        return nil
    }

    /// A tensor of a quantised matrix; its shape is one of those that `accepted` names.
    private func part(
        _ name: String, _ types: [ScalarType], _ accepted: [[Int]]
    ) throws(WeightProblem) -> StoredTensor {
        guard let stored = ledger.take(name) else {
            throw .missing(name: name, shape: accepted[0])
        }
        guard accepted.contains(stored.shape) else {
            throw .misshapen(name: name, shape: stored.shape, expected: accepted[0])
        }
        guard types.contains(stored.scalarType) else {
            throw .unusable(
                name: name,
                reason: "holds \(stored.scalarType.rawValue); accepted: "
                    + types.map(\.rawValue).joined(separator: ", "))
        }
        if stored.isFloating, let index = stored.firstNonFinite() {
            throw .nonFinite(name: name, index: index, value: stored.shownValue(at: index))
        }
        return stored
    }

    /// Scales [outputs, groups] and the inputs that share one.
    private func scales(
        _ name: String, outputs: Int, inputs: Int
    ) throws(WeightProblem) -> (values: [Float], groups: Int, group: Int) {
        let groups = ledger.tensors[name]?.shape.last ?? 1
        let stored = try part(
            name, [.bfloat16, .float16, .float32], [[outputs, groups], [outputs]])
        let count = stored.shape.count == 1 ? 1 : groups
        guard count > 0, inputs.isMultiple(of: count) else {
            throw .unusable(name: name, reason: "has \(count) groups for \(inputs) inputs")
        }
        return (stored.floats(), count, try Self.checkedGroup(inputs / count, count, name))
    }

    private static func checkedGroup(
        _ group: Int, _ count: Int, _ name: String
    ) throws(WeightProblem) -> Int {
        guard count == 1 || group.isMultiple(of: QuantizedBlocks.group) else {
            throw .unusable(
                name: name,
                reason: "has groups of \(group) inputs; multiples of \(QuantizedBlocks.group) "
                    + "are accepted")
        }
        return max(group, QuantizedBlocks.group)
    }

    private func packed(_ full: String, outputs: Int, inputs: Int) throws -> CodedMatrix {
        let name = full + ".weight_packed"
        let (four, eight) = ((inputs + 7) / 8, (inputs + 3) / 4)
        let stored = try part(name, [.int32], [[outputs, four], [outputs, eight]])
        let bits = stored.shape[1] == four ? 4 : 8
        if ledger.take(full + ".weight_g_idx") != nil {
            throw WeightProblem.unusable(
                name: full + ".weight_g_idx", reason: "reorders the inputs, which is not supported")
        }
        if let shape = ledger.take(full + ".weight_shape"),
            try shape.integers() != [outputs, inputs]
        {
            throw WeightProblem.misshapen(
                name: full + ".weight", shape: try shape.integers(), expected: [outputs, inputs])
        }
        let (values, groups, group) = try scales(
            full + ".weight_scale", outputs: outputs, inputs: inputs)
        let words = PackedWords(stored, bits: bits)
        let half = 1 << (bits - 1)
        var zeros: PackedWords?
        let zeroName = full + ".weight_zero_point"
        let perWord = 32 / bits
        if ledger.tensors[zeroName] != nil {
            guard bits == 4 else {
                throw WeightProblem.unusable(
                    name: zeroName, reason: "shifts 8-bit numbers, which is not supported")
            }
            zeros = PackedWords(
                try part(zeroName, [.int32], [[(outputs + perWord - 1) / perWord, groups]]),
                bits: bits)
        }
        return CodedMatrix(
            outputs: outputs, inputs: inputs, group: group,
            precision: bits == 4 && zeros == nil ? .int4 : .int8,
            code: { output, input in
                let value = words[output * stored.shape[1] + input / perWord, input % perWord]
                guard let zeros else { return value - half }
                return value - zeros[output / perWord * groups + input / group, output % perWord]
            }, scale: { output, index in values[output * groups + index] })
    }

    /// AWQ: [inputs, outputs / 8] words, eight outputs a word in the order 0, 2, 4, 6, 1, 3, 5, 7.
    private func activationAware(_ full: String, outputs: Int, inputs: Int) throws -> CodedMatrix {
        let columns = outputs / 8
        let stored = try part(full + ".qweight", [.int32], [[inputs, columns]])
        let groups = ledger.tensors[full + ".scales"]?.shape.first ?? 1
        guard outputs.isMultiple(of: 8), groups > 0, inputs.isMultiple(of: groups) else {
            throw WeightProblem.unusable(
                name: full + ".qweight", reason: "has \(outputs) outputs and \(groups) groups")
        }
        let scales = try part(
            full + ".scales", [.float16, .bfloat16, .float32], [[groups, outputs]]
        ).floats()
        let group = try Self.checkedGroup(inputs / groups, groups, full + ".scales")
        let zeros = PackedWords(
            try part(full + ".qzeros", [.int32], [[groups, columns]]), bits: 4)
        let words = PackedWords(stored, bits: 4)
        let place = [0, 4, 1, 5, 2, 6, 3, 7]  // of an output in its word
        let isSymmetric = zeros.all(equal: 8)
        return CodedMatrix(
            outputs: outputs, inputs: inputs, group: group,
            precision: isSymmetric ? .int4 : .int8,
            code: { output, input in
                let nibble = place[output % 8]
                return words[input * columns + output / 8, nibble]
                    - zeros[input / group * columns + output / 8, nibble]
            }, scale: { output, index in scales[index * outputs + output] })
    }

    /// int8 rows with one scale each: `weight_scale`, or `SCB` that is 127 scales.
    private func wholeRows(_ full: String, outputs: Int, inputs: Int) throws -> CodedMatrix {
        let stored = try part(full + ".weight", [.int8], [[outputs, inputs]])
        let usesLargest = ledger.tensors[full + ".SCB"] != nil
        let name = full + (usesLargest ? ".SCB" : ".weight_scale")
        let (values, groups, group) = try scales(name, outputs: outputs, inputs: inputs)
        _ = ledger.take(full + ".weight_format")
        let factor: Float = usesLargest ? 1 / 127 : 1
        let codes = try stored.integers()
        return CodedMatrix(
            outputs: outputs, inputs: inputs, group: group, precision: .int8,
            code: { codes[$0 * inputs + $1] },
            scale: { output, index in values[output * groups + index] * factor })
    }
}

/// Unsigned numbers of 4 or 8 bits in 32-bit words, lowest bits first.
private struct PackedWords {
    private let words: [UInt32]
    private let bits: Int

    init(_ stored: StoredTensor, bits: Int) {
        self.bits = bits
        words = stored.withBytes { bytes in
            (0..<stored.elementCount).map {
                UInt32(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self))
            }
        }
    }

    subscript(word: Int, place: Int) -> Int {
        Int(words[word] >> UInt32(place * bits)) & (1 << bits - 1)
    }

    func all(equal value: Int) -> Bool {
        (0..<words.count).allSatisfy { word in
            (0..<32 / bits).allSatisfy { self[word, $0] == value }
        }
    }
}

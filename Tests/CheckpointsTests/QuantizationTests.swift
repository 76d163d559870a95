// Quantised checkpoints: what is written loads as the same blocks in place, other tools' numbers come
// through exactly, and what does not fit is named.

import Foundation
import Testing

import Checkpoints
import TensorCore

@Suite struct QuantizationTests {
    private static let outputs = 21
    private static let inputs = 96

    /// Whole numbers and power-of-two scales, so that every product is exact.
    private static func code(_ output: Int, _ input: Int, _ count: Int) -> Int {
        (output * 7 + input * 5 + input / 9) % count
    }

    private static func scale(_ output: Int, _ group: Int) -> Float {
        [0.25, 0.5, 1, 2][(output + group) % 4]
    }

    private static func stored(
        _ name: String, _ shape: [Int], _ type: ScalarType, _ bytes: [UInt8]
    ) throws -> StoredTensor {
        try StoredTensor(
            name: name, shape: shape, scalarType: type, storage: TensorStorage(copying: bytes),
            byteOffset: 0)
    }

    private static func words(_ values: [UInt32]) -> [UInt8] {
        values.flatMap { withUnsafeBytes(of: $0.littleEndian, Array.init) }
    }

    private static func floats(_ values: [Float]) -> [UInt8] {
        words(values.map(\.bitPattern))
    }

    private static func load(
        _ tensors: [StoredTensor], outputs: Int = outputs, inputs: Int = inputs
    ) throws -> WeightMatrix {
        let loader = WeightLoader(
            NamedTensors(
                origin: "test",
                tensors: Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0) })))
        let matrix = loader.matrix("m.weight", outputs: outputs, inputs: inputs, precision: .bf16)
        try loader.finish()
        return matrix
    }

    private static func expect(
        _ matrix: WeightMatrix, _ precision: WeightPrecision, _ wanted: (Int, Int) -> Float
    ) {
        #expect(matrix.precision == precision)
        for output in 0..<matrix.outputs {
            let row = matrix.row(output)
            for input in 0..<matrix.inputs {
                let value = wanted(output, input)
                #expect(row[input] == value, "output \(output), input \(input)")
            }
        }
    }

    private static func packed(shifted: Bool) throws -> [StoredTensor] {
        let columns = inputs / 8
        var values = [UInt32](repeating: 0, count: outputs * columns)
        for output in 0..<outputs {
            for input in 0..<inputs {
                values[output * columns + input / 8] |=
                    UInt32(code(output, input, 16)) << UInt32(input % 8 * 4)
            }
        }
        let scales = (0..<outputs).flatMap { output in (0..<3).map { scale(output, $0) } }
        var tensors = [
            try stored("m.weight_packed", [outputs, columns], .int32, words(values)),
            try stored("m.weight_scale", [outputs, 3], .float32, floats(scales)),
            try stored(
                "m.weight_shape", [2], .int32, words([UInt32(outputs), UInt32(inputs)])),
        ]
        if shifted {
            var zeros = [UInt32](repeating: 0, count: 3 * 3)
            for output in 0..<outputs {
                for group in 0..<3 {
                    zeros[output / 8 * 3 + group] |=
                        UInt32((output + group) % 16) << UInt32(output % 8 * 4)
                }
            }
            tensors.append(try stored("m.weight_zero_point", [3, 3], .int32, words(zeros)))
        }
        return tensors
    }

    @Test func packedFourBitNumbersComeThroughExactly() throws {
        Self.expect(try Self.load(Self.packed(shifted: false)), .int4) { output, input in
            Float(Self.code(output, input, 16) - 8) * Self.scale(output, input / 32)
        }
        Self.expect(try Self.load(Self.packed(shifted: true)), .int8) { output, input in
            let zero = (output + input / 32) % 16
            return Float(Self.code(output, input, 16) - zero) * Self.scale(output, input / 32)
        }
    }

    @Test(arguments: [false, true])
    func activationAwareNumbersComeThroughExactly(shifted: Bool) throws {
        let (outputs, inputs) = (24, 64)
        let order = [0, 2, 4, 6, 1, 3, 5, 7]
        var values = [UInt32](repeating: 0, count: inputs * 3)
        var zeros = [UInt32](repeating: 0, count: 2 * 3)
        func zero(_ output: Int, _ group: Int) -> Int { shifted ? (output + group) % 16 : 8 }
        for word in 0..<3 {
            for (nibble, place) in order.enumerated() {
                let output = word * 8 + place
                for input in 0..<inputs {
                    values[input * 3 + word] |=
                        UInt32(Self.code(output, input, 16)) << UInt32(4 * nibble)
                }
                for group in 0..<2 {
                    zeros[group * 3 + word] |= UInt32(zero(output, group)) << UInt32(4 * nibble)
                }
            }
        }
        let scales = (0..<2).flatMap { group in (0..<outputs).map { Self.scale($0, group) } }
        let matrix = try Self.load(
            [
                Self.stored("m.qweight", [inputs, 3], .int32, Self.words(values)),
                Self.stored("m.qzeros", [2, 3], .int32, Self.words(zeros)),
                Self.stored("m.scales", [2, outputs], .float32, Self.floats(scales)),
            ], outputs: outputs, inputs: inputs)
        Self.expect(matrix, shifted ? .int8 : .int4) { output, input in
            Float(Self.code(output, input, 16) - zero(output, input / 32))
                * Self.scale(output, input / 32)
        }
    }

    @Test func wholeRowsOfEightBitsComeThroughExactly() throws {
        let codes = (0..<Self.outputs * Self.inputs).map {
            UInt8(truncatingIfNeeded: Self.code($0 / Self.inputs, $0 % Self.inputs, 256) - 128)
        }
        let scales = (0..<Self.outputs).map { Self.scale($0, 0) }
        let matrix = try Self.load([
            Self.stored("m.weight", [Self.outputs, Self.inputs], .int8, codes),
            Self.stored("m.weight_scale", [Self.outputs, 1], .float32, Self.floats(scales)),
        ])
        Self.expect(matrix, .int8) { output, input in
            Float(Self.code(output, input, 256) - 128) * Self.scale(output, 0)
        }
    }

    @Test func whatDoesNotFitIsNamed() throws {
        var tensors = try Self.packed(shifted: false)
        tensors[1] = try Self.stored(
            "m.weight_scale", [3, 3], .float32, Self.floats(.init(repeating: 1, count: 9)))
        let error = #expect(throws: CheckpointError.self) { _ = try Self.load(tensors) }
        #expect(
            error?.description.contains("misshapen: m.weight_scale is [3, 3], needed [21, 3]")
                == true)
        tensors = try Self.packed(shifted: false)
        tensors.append(try Self.stored("m.weight_g_idx", [1], .int32, Self.words([0])))
        let order = #expect(throws: CheckpointError.self) { _ = try Self.load(tensors) }
        #expect(order?.description.contains("reorders the inputs") == true)
        let block = try Self.stored(
            "m.weight", [2, 3, 288], .uint8, .init(repeating: 0xFF, count: 1728))
        let scales = #expect(throws: CheckpointError.self) { _ = try Self.load([block]) }
        #expect(scales?.description.contains("a scale that is not finite in row 0") == true)
        let short = try Self.stored(
            "m.weight", [1, 3, 288], .uint8, .init(repeating: 0, count: 864))
        let shape = #expect(throws: CheckpointError.self) { _ = try Self.load([short]) }
        #expect(
            shape?.description.contains("misshapen: m.weight is [1, 3, 288], needed [2, 3, 288]")
                == true)
    }

    @Test(arguments: [WeightPrecision.int8, .int4])
    func aQuantisedCheckpointLoadsAsItWasWritten(precision: WeightPrecision) throws {
        let folder = NSTemporaryDirectory() + "quantise-\(UUID().uuidString)"
        let copy = folder + "-copy"
        defer {
            try? FileManager.default.removeItem(atPath: folder)
            try? FileManager.default.removeItem(atPath: copy)
        }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var random = SeededGenerator(seed: 21)
        let shapes = [
            "model.embed_tokens.weight": [50, 64], "lm_head.weight": [50, 64],
            "model.layers.0.self_attn.q_proj.weight": [64, 64],
            "model.layers.0.mlp.gate_proj.weight": [100, 64],
            "model.layers.0.mlp.down_proj.weight": [64, 100], "model.norm.weight": [63],
        ]
        var writer = SafetensorsWriter()
        var values: [String: [Float]] = [:]
        for (name, shape) in shapes.sorted(by: { $0.key < $1.key }) {
            let numbers = random.normals(shape.reduce(1, *))
            values[name] = numbers
            writer.add(name, shape: shape, floats: numbers)
        }
        try writer.write(to: folder + "/model.safetensors")
        try Data(
            #"{"hidden_size": 64, "num_attention_heads": 1, "num_attention_groups": 1, "x": [1]}"#
                .utf8
        )
        .write(to: URL(fileURLWithPath: folder + "/config.json"))
        try Data("abc".utf8).write(to: URL(fileURLWithPath: folder + "/tokenizer.model"))
        var quantizer = CheckpointQuantizer(precision: precision)
        quantizer.shardBytes = 9_000
        let summary = try quantizer.quantize(folder: folder, to: copy)
        #expect(summary.matrices == 4)
        #expect(summary.bytesAfter < summary.bytesBefore)
        let checkpoint = try SafetensorsCheckpoint(path: copy)
        #expect(checkpoint.files.count > 1)
        #expect(FileManager.default.contents(atPath: copy + "/tokenizer.model") == Data("abc".utf8))
        let configuration = try LanguageModelConfiguration(path: copy + "/config.json")
        #expect(configuration.quantization?.bits == precision.bits)
        let loader = WeightLoader(checkpoint)
        for (name, shape) in shapes where shape.count == 2 {
            let wanted: WeightPrecision =
                switch name {
                case "model.embed_tokens.weight": .fp32
                case "lm_head.weight": .int8
                // A network as narrow as this one takes 4 bits in the gate only.
                default: name.contains("gate") ? precision : .int8
                }
            let matrix = loader.matrix(name, outputs: shape[0], inputs: shape[1])
            let direct = WeightMatrix(
                outputs: shape[0], inputs: shape[1], values: values[name] ?? [], precision: wanted)
            #expect(matrix.precision == wanted)
            for output in 0..<shape[0] {
                #expect(matrix.row(output) == direct.row(output), "\(name)")
            }
            let stored = checkpoint.tensors[name]
            #expect(stored?.byteOffset.isMultiple(of: 64) == true, "\(name)")
        }
        #expect(loader.values("model.norm.weight", [63]) == values["model.norm.weight"])
        try loader.finish()
        let again = #expect(throws: CheckpointError.self) {
            try quantizer.quantize(folder: copy, to: folder + "-third")
        }
        #expect(again?.description.contains("quantised already") == true)
        let over = #expect(throws: CheckpointError.self) {
            try quantizer.quantize(folder: folder, to: copy)
        }
        #expect(over?.description.contains("holds weights") == true)
    }
}

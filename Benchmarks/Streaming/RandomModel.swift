// A speech language model of the published shape with random weights: how much a batch saves when the
// weights are far larger than the processor's caches.
// `STEPAUDIO_LAYERS` sets the number of layers,
// `STEPAUDIO_PRECISION` that of the weights.

import Checkpoints
import Foundation
import LanguageModel
import LanguageModelInterface
import TensorCore

/// The sizes of Step-Audio-TTS-3B.
func publishedShape(layers: Int) -> LanguageModelConfiguration {
    var c = LanguageModelConfiguration()
    c.hiddenSize = 3072
    c.intermediateSize = 8192
    c.attentionHeads = 48
    c.keyValueHeads = 4
    c.layers = layers
    c.vocabularySize = 74_752
    c.maximumSequenceLength = 4096
    return c
}

/// Weights that repeat a block of random ones: as slow as real ones, made quickly.
func randomModel(layers: Int, precision: WeightPrecision) throws -> Step1Model {
    let c = publishedShape(layers: layers)
    var generator = SeededGenerator(seed: 1)
    let block = generator.normals(1 << 16).map { WeightMatrix.roundToBFloat16($0 * 0.02) }
    var tensors: [String: StoredTensor] = [:]
    func add(_ name: String, _ shape: [Int], ones: Bool = false) throws {
        let count = shape.reduce(1, *)
        var values = [UInt16](repeating: 0x3F80, count: count)
        if !ones {
            for start in stride(from: 0, to: count, by: block.count) {
                let end = min(start + block.count, count)
                values.replaceSubrange(start..<end, with: block[..<(end - start)])
            }
        }
        tensors[name] = try values.withUnsafeBytes {
            try StoredTensor(
                name: name, shape: shape, scalarType: .bfloat16,
                storage: TensorStorage(copying: $0), byteOffset: 0)
        }
    }
    let (width, keys) = (c.hiddenSize, c.keyValueHeads * c.headSize)
    try add("model.embed_tokens.weight", [c.vocabularySize, width])
    for layer in 0..<layers {
        let prefix = "model.layers.\(layer)."
        try add(prefix + "input_layernorm.weight", [width], ones: true)
        try add(prefix + "self_attn.q_proj.weight", [width, width])
        try add(prefix + "self_attn.k_proj.weight", [keys, width])
        try add(prefix + "self_attn.v_proj.weight", [keys, width])
        try add(prefix + "self_attn.o_proj.weight", [width, width])
        try add(prefix + "post_attention_layernorm.weight", [width], ones: true)
        try add(prefix + "mlp.gate_proj.weight", [c.intermediateSize, width])
        try add(prefix + "mlp.up_proj.weight", [c.intermediateSize, width])
        try add(prefix + "mlp.down_proj.weight", [width, c.intermediateSize])
    }
    try add("model.norm.weight", [width], ones: true)
    try add("lm_head.weight", [c.vocabularySize, width])
    return try Step1Model(
        configuration: c, source: NamedTensors(origin: "memory", tensors: tensors),
        precision: precision)
}

func measureBatch() async throws {
    let layers = Int(ProcessInfo.processInfo.environment["STEPAUDIO_LAYERS"] ?? "") ?? 4
    let name = ProcessInfo.processInfo.environment["STEPAUDIO_PRECISION"] ?? "int8"
    guard let precision = WeightPrecision(rawValue: name) else {
        print("STEPAUDIO_PRECISION is '\(name)'; accepted: fp32, bf16, int8, int4")
        return
    }
    let engine = EmbeddedEngine(try randomModel(layers: layers, precision: precision))
    let prefix = (0..<120).map { $0 * 31 % 60_000 }
    @Sendable func request(_ index: Int) -> GenerationRequest {
        GenerationRequest(
            prompt: prefix + (0..<20).map { $0 * (index + 7) % 60_000 },
            sampling: SamplingOptions(temperature: 0.7, seed: UInt64(index)), stopIDs: [],
            maximumNewTokens: 40, candidates: 65_000..<71_000)
    }
    for try await _ in engine.generate(request(99)) {}
    for count in [6, 8] {
        let (single, _) = try await seconds {
            for index in 0..<count {
                for try await _ in engine.generate(request(index)) {}
            }
        }
        let (together, _) = try await seconds {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<count {
                    group.addTask { for try await _ in engine.generate(request(index)) {} }
                }
                try await group.waitForAll()
            }
        }
        print(
            "\(count) sentences through a 3B-shaped \(name) model of \(layers) layers: together "
                + "\(text(together)) s, one after the other \(text(single)) s: "
                + "\(text(single / together)) times")
    }
}

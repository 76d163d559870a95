// The Step-1 decoder: pre-norm blocks of grouped-query attention with the square-root ALiBi bias
// and SwiGLU, RMSNorm, an untied head, no biases, no position embedding. Shapes: ids [T] -> hidden
// [T, D] -> logits [T, V]. Source: stepfun-ai/Step-Audio-TTS-3B, modeling_step1.py; the bias of a
// key `d` tokens back is -slope * sqrt(d), added after scaling, in fp32.

import Checkpoints
import Foundation
import TensorCore

/// A Step-1 network with its weights.
public final class Step1Model: Sendable {
    /// Sizes and rules.
    public let configuration: LanguageModelConfiguration
    /// Precision of the matrices.
    public let precision: WeightPrecision
    private let embedding: WeightMatrix
    private let layers: [Layer]
    private let norm: RMSNorm
    private let head: WeightMatrix
    private let slopes: [Float]
    /// Element `m` is the square root of `count - 1 - m`: a row of distances is contiguous in it.
    private let distances: [Float]

    struct Layer: Sendable {
        let attentionNorm: RMSNorm
        let query, key, value, output: WeightMatrix
        let feedForwardNorm: RMSNorm
        let gate, up, down: WeightMatrix
    }

    /// Loads a directory with config.json and safetensors; throws one error that names every tensor
    /// that does not fit.
    public convenience init(directory: String, precision: WeightPrecision) throws {
        try self.init(
            configuration: LanguageModelConfiguration(path: directory + "/config.json"),
            source: openSafetensors(directory), precision: precision)
    }

    /// Builds the network from tensors with the published names.
    public init(
        configuration c: LanguageModelConfiguration, source: any TensorSource,
        precision: WeightPrecision
    ) throws {
        configuration = c
        self.precision = precision
        let loader = WeightLoader(source, ignoring: ["*.rotary_emb.inv_freq"])
        let width = c.hiddenSize
        let keyWidth = c.keyValueHeads * c.headSize
        func matrix(
            _ name: String, _ outputs: Int, _ inputs: Int, _ own: WeightPrecision? = nil
        ) -> WeightMatrix {
            loader.matrix(name, outputs: outputs, inputs: inputs, precision: own ?? precision)
        }
        func norm(_ name: String) -> RMSNorm {
            RMSNorm(weight: loader.values(name, [width]), epsilon: Float(c.normEpsilon))
        }
        embedding = matrix(
            "model.embed_tokens.weight", c.vocabularySize, width, precision.forEmbedding)
        layers = (0..<c.layers).map { index in
            let p = "model.layers.\(index)."
            return Layer(
                attentionNorm: norm(p + "input_layernorm.weight"),
                query: matrix(p + "self_attn.q_proj.weight", width, width),
                key: matrix(p + "self_attn.k_proj.weight", keyWidth, width),
                value: matrix(p + "self_attn.v_proj.weight", keyWidth, width),
                output: matrix(p + "self_attn.o_proj.weight", width, width),
                feedForwardNorm: norm(p + "post_attention_layernorm.weight"),
                gate: matrix(p + "mlp.gate_proj.weight", c.intermediateSize, width),
                up: matrix(p + "mlp.up_proj.weight", c.intermediateSize, width),
                down: matrix(p + "mlp.down_proj.weight", width, c.intermediateSize))
        }
        self.norm = norm("model.norm.weight")
        head =
            c.tiesEmbeddings && !loader.has("lm_head.weight")
            ? embedding : matrix("lm_head.weight", c.vocabularySize, width, precision.forHead)
        slopes =
            c.alibiSlopes?.map { Float($0) }
            ?? Self.slopes(
                heads: c.attentionHeads, interpolation: c.maximumPositionInterpolationRatio)
        let count = c.maximumSequenceLength
        distances = (0..<count).map { Float(count - 1 - $0).squareRoot() }
        try loader.finish()
    }

    /// The bias slopes of `heads` heads: powers of 2^(-8/n) for the largest power of two n, then odd
    /// powers of 2^(-4/n) for the rest.
    ///
    /// An `interpolation` r other than 1 flattens the bias for contexts r times longer: a slope is
    /// divided by sqrt(r)^w, where w goes from 0 at the steepest head to 1 at the flattest on a
    /// logarithmic scale.
    public static func slopes(heads: Int, interpolation: Double = 1) -> [Float] {
        var n = 1
        while n * 2 <= heads {
            n *= 2
        }
        let first: [Double] = (1...n).map { Double(-8 * $0) / Double(n) }
        let rest: [Double] = (0..<heads - n).map { Double(-8 * $0 - 4) / Double(n) }
        let exponents = first + rest
        let steepest = exponents.max() ?? 0
        let range = steepest - (exponents.min() ?? 0)
        return exponents.map { exponent in
            let weight = range > 0 ? (steepest - exponent) / range : 0
            return Float(pow(2, exponent) / pow(interpolation, weight / 2))
        }
    }

    /// Bytes of the weights.
    public var weightBytes: Int {
        let matrices = layers.flatMap {
            [$0.query, $0.key, $0.value, $0.output, $0.gate, $0.up, $0.down]
        }
        return ([embedding, head] + matrices).reduce(0) { $0 + $1.byteCount }
    }

    /// An empty cache for this network.
    public func makeCache() -> KeyValueCache {
        KeyValueCache(
            layers: configuration.layers,
            width: configuration.keyValueHeads * configuration.headSize)
    }

    /// Runs new tokens after those in the cache: hidden states after the final norm, [T, D].
    ///
    /// Ids must be below the vocabulary's size and the cache plus the tokens within the context.
    public func hidden(_ ids: [Int], cache: KeyValueCache) -> Tensor {
        let c = configuration
        let start = cache.count
        var x = Tensor(shape: [ids.count, c.hiddenSize], values: ids.flatMap(embedding.row))
        cache.reserve(start + ids.count)
        for (index, layer) in layers.enumerated() {
            let normed = layer.attentionNorm(x)
            let query = layer.query.multiply(normed)
            cache.append(
                layer: index, at: start, keys: layer.key.multiply(normed),
                values: layer.value.multiply(normed))
            let mixed = attend(query, layer: index, cache: cache, start: start)
            x += layer.output.multiply(mixed)
            let second = layer.feedForwardNorm(x)
            var gate = layer.gate.multiply(second)
            gate.applyGatedSiLU(layer.up.multiply(second))
            x += layer.down.multiply(gate)
        }
        cache.count = start + ids.count
        return norm(x)
    }

    private func attend(
        _ query: Tensor, layer: Int, cache: KeyValueCache, start: Int
    ) -> Tensor {
        let c = configuration
        let rows = query.rows
        let keys = start + rows
        var result = Tensor(zeros: [rows, c.hiddenSize])
        let (slopes, last) = (slopes, distances.count - 1)
        distances.withUnsafeBufferPointer { table in
            result.values.withUnsafeMutableBufferPointer { output in
                query.values.withUnsafeBufferPointer { q in
                    guard let table = table.baseAddress, let output = output.baseAddress,
                        let q = q.baseAddress
                    else { return }
                    let roots = SharedReadPointer(table)
                    TensorCore.attend(
                        queryCount: rows, keyCount: keys, heads: c.attentionHeads,
                        groups: c.keyValueHeads, width: c.headSize, query: q,
                        queryStride: c.hiddenSize, key: cache.keys(layer),
                        keyStride: cache.width, value: cache.values(layer),
                        valueStride: cache.width, output: output, outputStride: c.hiddenSize,
                        scale: 1 / Float(c.headSize).squareRoot()
                    ) { head, queryRows, scores, keyCount in
                        let slope = slopes[head]
                        for (index, row) in queryRows.enumerated() {
                            let position = start + row
                            let line = scores + index * keyCount
                            let distance = roots.base + (last - position)
                            for key in 0...position {
                                line[key] -= slope * distance[key]
                            }
                            for key in position + 1..<max(position + 1, keyCount) {
                                line[key] = -.infinity
                            }
                        }
                    }
                }
            }
        }
        return result
    }

    /// Logits of hidden states, [T, V].
    public func logits(_ hidden: Tensor) -> Tensor {
        var logits = head.multiply(hidden)
        if configuration.logitScale != 1 {
            logits.scale(by: Float(configuration.logitScale))
        }
        return logits
    }

    /// Logits of one hidden state over a range of ids only.
    public func logits(_ hidden: [Float], ids: Range<Int>) -> [Float] {
        var logits = [Float](repeating: 0, count: ids.count)
        hidden.withUnsafeBufferPointer { source in
            logits.withUnsafeMutableBufferPointer { target in
                guard let a = source.baseAddress, let c = target.baseAddress else { return }
                head.multiply(rows: 1, from: a, into: c, outputRange: ids)
            }
        }
        let scale = Float(configuration.logitScale)
        return scale == 1 ? logits : logits.map { $0 * scale }
    }
}

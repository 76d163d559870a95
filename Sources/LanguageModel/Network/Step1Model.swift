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
    private let attention: PagedAttention

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
            loader.matrix(
                name, outputs: outputs, inputs: inputs,
                precision: own ?? precision.forProjection(name, hiddenSize: width))
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
        let slopes =
            c.alibiSlopes?.map { Float($0) }
            ?? Self.slopes(
                heads: c.attentionHeads, interpolation: c.maximumPositionInterpolationRatio)
        let count = c.maximumSequenceLength
        attention = PagedAttention(
            pageTokens: PageShape.tokens, heads: c.attentionHeads, groups: c.keyValueHeads,
            width: c.headSize, cachePrecision: precision.forCache, slopes: slopes,
            roots: (0..<count).map { Float(count - 1 - $0).squareRoot() })
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

    /// The sizes of this network's cache pages.
    var pageShape: PageShape {
        PageShape(
            layers: configuration.layers,
            width: configuration.keyValueHeads * configuration.headSize,
            precision: precision.forCache)
    }

    /// An empty cache for this network.
    public func makeCache() -> KeyValueCache {
        KeyValueCache(pool: PagePool(shape: pageShape, limit: .max))
    }

    /// Runs new tokens after those in the cache: hidden states after the final norm, [T, D].
    ///
    /// Ids must be below the vocabulary's size and the cache plus the tokens within the context.
    public func hidden(_ ids: [Int], cache: KeyValueCache) -> Tensor {
        hidden([Extension(ids: ids, cache: cache)])
    }

    /// New tokens of one sequence in a batch.
    struct Extension {
        let ids: [Int]
        let cache: KeyValueCache
    }

    /// Runs new tokens of several sequences: hidden states after the final norm, [all tokens, D].
    ///
    /// A sequence's rows depend on its own tokens, not on the other sequences and not on how its tokens were
    /// split over calls. Caches must have room.
    func hidden(_ batch: [Extension]) -> Tensor {
        let c = configuration
        let ids = batch.flatMap(\.ids)
        var x = Tensor(shape: [ids.count, c.hiddenSize], values: ids.flatMap(embedding.row))
        for sequence in batch {
            let fits = sequence.cache.reserve(sequence.cache.count + sequence.ids.count)
            precondition(fits, "a cache without room")
        }
        for (index, layer) in layers.enumerated() {
            let normed = layer.attentionNorm(x)
            let parts = WeightMatrix.products(
                normed, [layer.query, layer.key, layer.value])
            let rows = store(parts[1], parts[2], layer: index, batch: batch)
            let mixed = attention(parts[0], rows: rows)
            x += layer.output.multiply(mixed)
            let second = layer.feedForwardNorm(x)
            var inner = WeightMatrix.products(second, [layer.gate, layer.up])
            let up = inner.removeLast()
            inner[0].applyGatedSiLU(up)
            x += layer.down.multiply(inner[0])
        }
        for sequence in batch {
            sequence.cache.count += sequence.ids.count
        }
        return norm(x)
    }

    /// Writes a layer's new keys and values into the caches and says where all of them lie.
    private func store(
        _ keys: Tensor, _ values: Tensor, layer: Int, batch: [Extension]
    ) -> [PagedRows] {
        keys.values.withUnsafeBufferPointer { keyRows in
            values.values.withUnsafeBufferPointer { valueRows in
                guard let k = keyRows.baseAddress, let v = valueRows.baseAddress else { return [] }
                var row = 0
                return batch.map { sequence in
                    let (cache, count) = (sequence.cache, sequence.ids.count)
                    cache.write(
                        layer: layer, at: cache.count, rows: count, keys: k + row * keys.columns,
                        values: v + row * keys.columns)
                    defer { row += count }
                    return PagedRows(
                        row: row, count: count, start: cache.count,
                        keys: cache.pages.map { UnsafeRawPointer($0.keys(layer)) },
                        values: cache.pages.map { UnsafeRawPointer($0.values(layer)) })
                }
            }
        }
    }

    /// Logits of hidden states, [T, V].
    public func logits(_ hidden: Tensor) -> Tensor {
        var logits = head.multiply(hidden)
        if configuration.logitScale != 1 {
            logits.scale(by: Float(configuration.logitScale))
        }
        return logits
    }

    /// Logits of hidden states over a range of ids only, [T, ids]; each row as if it were alone.
    public func logits(_ hidden: Tensor, ids: Range<Int>) -> Tensor {
        var logits = head.multiply(hidden, range: ids)
        if configuration.logitScale != 1 {
            logits.scale(by: Float(configuration.logitScale))
        }
        return logits
    }
}

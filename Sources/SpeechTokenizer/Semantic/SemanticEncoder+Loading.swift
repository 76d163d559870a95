// Reads the semantic encoder from its ONNX graph. Weights have anonymous names there, so each is found
// by the node that uses it; sizes, head count and codebook come from the graph as well.

import AudioSignal
import Checkpoints
import Foundation
import TensorCore

extension SemanticEncoder {
    /// Loads the encoder; throws `CheckpointError` or `SpeechTokenizerError`.
    public init(path: String) throws {
        let graph = try ONNXModel(path: path)
        let layers = try Self.blockCount(graph)
        let source = try graph.named(Self.roles(graph, layers: layers))
        let loader = WeightLoader(source)
        func unreadable(_ what: String) -> SpeechTokenizerError {
            .unreadableGraph(file: path, missing: what)
        }
        guard let first = loader.shape("conv1.weight"), first.count == 3 else {
            throw unreadable("the weight of /conv1/Conv, [width, bands, kernel],")
        }
        let (width, bands) = (first[0], first[1])
        var convolutions: [Convolution1D] = []
        for (name, inputs) in [("conv1", bands), ("conv2", width)] {
            guard let node = try graph.node(named: "/\(name)/Conv"),
                let shape = loader.shape(name + ".weight"), shape.count == 3
            else { throw unreadable("the node /\(name)/Conv") }
            let pads = node.integers("pads") ?? [0, 0]
            guard pads.count == 2, pads[0] == pads[1], (0...shape[2]).contains(pads[0]) else {
                throw unreadable("equal pads of /\(name)/Conv (they are \(pads))")
            }
            let stride = node.integers("strides")?.first ?? 1
            // Two strides of 2 are what makes 25 codes a second; the 50 Hz variant has another first.
            guard stride == 2 else {
                throw unreadable("stride 2 of /\(name)/Conv (it is \(stride))")
            }
            convolutions.append(
                Convolution1D(
                    weight: loader.values(name + ".weight", [width, inputs, shape[2]]),
                    outputs: width, inputs: inputs, kernel: shape[2],
                    bias: loader.values(name + ".bias", [width]), stride: stride,
                    padding: pads[0]))
        }
        guard let heads = try Self.headCount(graph, width: width) else {
            throw unreadable("the number of heads, a divisor of \(width),")
        }
        let positionCount = loader.shape("positions")?.first ?? 0
        let table = loader.tensor("positions", [positionCount, width])
        let blocks = (0..<layers).map { Self.block(loader, $0, width: width, heads: heads) }
        let codes = loader.shape("codebook")?.last ?? 0
        let codebook = Codebook(
            count: codes, width: width,
            values: loader.tensor("codebook", [width, codes]).transposed().values)
        try loader.finish()
        self.init(
            mel: WhisperMel(melCount: bands), convolutions: convolutions, positions: table,
            blocks: blocks, codebook: codebook, normEpsilon: 1e-12)
    }

    private static func block(
        _ loader: WeightLoader, _ index: Int, width: Int, heads: Int
    ) -> SemanticBlock {
        let part = loader.scoped("blocks.\(index).")
        func norm(_ name: String) -> LayerNorm {
            LayerNorm(
                weight: part.values(name + ".weight", [width]),
                bias: part.values(name + ".bias", [width]), epsilon: 1e-5)
        }
        func linear(_ name: String, _ inputs: Int, _ outputs: Int, bias: Bool = true) -> Linear {
            Linear(
                weight: part.matrix(
                    name + ".weight", outputs: outputs, inputs: inputs, transposed: true),
                bias: bias ? part.values(name + ".bias", [outputs]) : nil)
        }
        let inner = part.shape("mlp.0.weight")?.last ?? 4 * width
        return SemanticBlock(
            heads: heads, attentionNorm: norm("attn_ln"),
            query: linear("attn.query", width, width),
            key: linear("attn.key", width, width, bias: false),
            value: linear("attn.value", width, width), output: linear("attn.out", width, width),
            feedForwardNorm: norm("mlp_ln"), expansion: linear("mlp.0", width, inner),
            contraction: linear("mlp.2", inner, width))
    }

    /// How many blocks there are, by the nodes of their queries.
    private static func blockCount(_ graph: ONNXModel) throws -> Int {
        var count = 0
        while try graph.node(named: "/blocks.\(count)/attn/query/MatMul") != nil {
            count += 1
        }
        return count
    }

    /// Where each weight is used; `initializers` are the names that some exports keep.
    private static func roles(_ graph: ONNXModel, layers: Int) throws -> [ONNXRole] {
        func own(_ name: String) -> [String] { ["encoders." + name, "encoder." + name] }
        var roles: [ONNXRole] = []
        for name in ["conv1", "conv2"] {
            roles.append(
                ONNXRole(
                    name + ".weight", node: "/\(name)/Conv", input: 1,
                    initializers: own(name + ".weight")))
            roles.append(
                ONNXRole(
                    name + ".bias", node: "/\(name)/Conv", input: 2,
                    initializers: own(name + ".bias")))
        }
        roles.append(
            ONNXRole("positions", node: nil, initializers: own("positional_embedding")))
        for index in 0..<layers {
            let block = "blocks.\(index)."
            func linear(_ name: String, scope: String = "attn", bias: Bool = true) {
                let local = scope == "mlp" ? name : String(name.dropFirst(scope.count + 1))
                let node = "/blocks.\(index)/\(scope)/\(local)"
                roles.append(ONNXRole(block + name + ".weight", node: node + "/MatMul"))
                if bias {
                    roles.append(
                        ONNXRole(
                            block + name + ".bias", node: node + "/Add",
                            initializers: own(block + name + ".bias")))
                }
            }
            for name in ["attn.query", "attn.value", "attn.out"] {
                linear(name)
            }
            linear("attn.key", bias: false)
            for name in ["mlp.0", "mlp.2"] {
                linear(name, scope: "mlp")
            }
            for name in ["attn_ln", "mlp_ln"] {
                let node = "/blocks.\(index)/\(name)"
                // One operation from opset 17 on, taken apart before.
                let whole = node + "/LayerNormalization"
                let isWhole = try graph.node(named: whole) != nil
                roles.append(
                    ONNXRole(
                        block + name + ".weight", node: isWhole ? whole : node + "/Mul",
                        input: isWhole ? 1 : nil, initializers: own(block + name + ".weight")))
                roles.append(
                    ONNXRole(
                        block + name + ".bias", node: isWhole ? whole : node + "/Add_1",
                        input: isWhole ? 2 : nil, initializers: own(block + name + ".bias")))
            }
        }
        roles.append(ONNXRole("codebook", node: try codebookNode(graph)))
        return roles
    }

    /// The product of the embeddings with the codebook: by its published name, or the last product
    /// with a constant when an exporter left the quantiser's scope out.
    private static func codebookNode(_ graph: ONNXModel) throws -> String {
        let published = "/quantizer/rq/model/layers.0/_codebook/MatMul"
        guard try graph.node(named: published) == nil else { return published }
        let last = try graph.nodes.last {
            try $0.operation == "MatMul" && !$0.name.contains("/blocks.")
                && !graph.initializers(ofNode: $0.name).isEmpty
        }
        return last?.name ?? published
    }

    /// The head count: a constant of the first block's attention, or from the reshape of its query.
    private static func headCount(_ graph: ONNXModel, width: Int) throws -> Int? {
        func isCount(_ value: Int) -> Bool { value > 0 && width % value == 0 }
        // Heads appear as the third extent that the projected query is reshaped to. Reshape targets are
        // stored whole or put together by a Concat of scalars.
        let scope = try graph.node(named: "/blocks.0/attn/query/MatMul")
            .map { String($0.name.dropLast("query/MatMul".count)) }
        guard let scope else { return nil }
        for node in graph.nodes
        where node.name.hasPrefix(scope) && node.operation == "Reshape" && node.inputs.count == 2 {
            if let shape = try graph.constant(node.inputs[1])?.integers(), shape.count == 4,
                let heads = shape[2...].first, isCount(heads)
            {
                return heads
            }
            if let parts = graph.producer(of: node.inputs[1]), parts.operation == "Concat",
                parts.inputs.count == 4
            {
                if let heads = try scalar(graph, parts.inputs[2]), isCount(heads) {
                    return heads
                }
            }
        }
        if let constant = try graph.constant(scope + "Constant_1_output_0"),
            let heads = try? constant.integers().first, isCount(heads)
        {
            return heads
        }
        return nil
    }

    /// A constant integer behind an Unsqueeze.
    private static func scalar(_ graph: ONNXModel, _ value: String) throws -> Int? {
        if let constant = try graph.constant(value) {
            return try? constant.integers().first
        }
        guard let node = graph.producer(of: value), node.operation == "Unsqueeze",
            let inner = node.inputs.first, let constant = try graph.constant(inner)
        else { return nil }
        return try? constant.integers().first
    }
}

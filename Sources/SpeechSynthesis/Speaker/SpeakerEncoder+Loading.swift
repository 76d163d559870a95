// Reads CAM++ from its ONNX graph by node names. Batch norms that follow a convolution may be folded
// into it or stand on their own; depths, widths, strides and dilations come from the graph.

import AudioSignal
import Checkpoints
import TensorCore

extension SpeakerEncoder {
    /// Loads the encoder; throws `CheckpointError` or `SpeechSynthesisError`.
    public init(path: String) throws {
        let graph = try SpeakerGraph(path: path)
        let loader = graph.loader
        var head = [
            BandLayer(
                first: graph.bandConvolution("head.conv1", norm: "head.bn1"), second: nil,
                shortcut: nil)
        ]
        for name in graph.headLayers {
            let way = name + ".shortcut.0"
            head.append(
                BandLayer(
                    first: graph.bandConvolution(name + ".conv1", norm: name + ".bn1"),
                    second: graph.bandConvolution(name + ".conv2", norm: name + ".bn2"),
                    shortcut: graph.has(way)
                        ? graph.bandConvolution(way, norm: name + ".shortcut.1") : nil))
        }
        head.append(
            BandLayer(
                first: graph.bandConvolution("head.conv2", norm: "head.bn2"), second: nil,
                shortcut: nil))
        let entry = graph.convolution(
            "xvector.tdnn.linear", norm: "xvector.tdnn.nonlinear.batchnorm")
        let blocks = graph.blockDepths.enumerated().map { index, depth in
            DenseBlock(
                layers: (1...depth).map {
                    graph.denseLayer("xvector.block\(index + 1).tdnnd\($0)")
                },
                exitNorm: graph.norm("xvector.transit\(index + 1).nonlinear.batchnorm"),
                exit: graph.pointwise("xvector.transit\(index + 1).linear"))
        }
        let exitNorm = graph.optionalNorm("xvector.out_nonlinear.batchnorm")
        let output = graph.pointwise("xvector.dense.linear")
        let outputNorm = graph.optionalNorm("xvector.dense.nonlinear.batchnorm")
        try loader.finish()
        self.init(
            bank: KaldiFilterBank(window: .povey, scale: 1), head: head, entry: entry,
            blocks: blocks, exitNorm: exitNorm, output: output, outputNorm: outputNorm)
        try checkWidths(path: path)
    }

    /// Widths that only meet at run time must agree.
    private func checkWidths(path: String) throws(SpeechSynthesisError) {
        func agree(_ key: String, _ seen: Int, _ accepted: Int) throws(SpeechSynthesisError) {
            guard seen == accepted else {
                throw .unusableSetting(
                    file: path, key: key, value: "\(seen)", accepted: "\(accepted)")
            }
        }
        var bands = bank.melCount
        var channels = 1
        for layer in head {
            try agree("head channels", layer.first.rows[0].inputs, channels)
            bands =
                (bands + 2 * layer.first.bandPadding - layer.first.rows.count)
                / layer.first.bandStride + 1
            channels = layer.first.outputs
        }
        try agree("xvector.tdnn.linear inputs", entry.inputs, bands * channels)
        var width = entry.outputs
        for (index, block) in blocks.enumerated() {
            for (depth, layer) in block.layers.enumerated() {
                let name = "xvector.block\(index + 1).tdnnd\(depth + 1)"
                try agree(name + " inputs", layer.bottleneck.weight.inputs, width)
                try agree(name + " norm", layer.norm.scale.count, width)
                try agree(name + " mask", layer.contextSecond.weight.outputs, layer.local.outputs)
                width += layer.local.outputs
            }
            try agree("xvector.transit\(index + 1) inputs", block.exit.weight.inputs, width)
            width = block.exit.weight.outputs
        }
        try agree("xvector.dense.linear inputs", output.weight.inputs, 2 * width)
    }
}

/// The graph's nodes and weights under the names of the model's modules.
private struct SpeakerGraph {
    let model: ONNXModel
    let loader: WeightLoader
    /// Residual blocks of the head, in order.
    let headLayers: [String]
    /// Layers of each dense block.
    let blockDepths: [Int]
    private let convolutions: Set<String>
    private let norms: Set<String>

    private static func node(_ module: String, _ operation: String) -> String {
        // Numbered modules keep their parent's name in front: layer1.0 is /layer1/layer1.0.
        var parts: [String] = []
        for part in module.split(separator: ".") {
            if part.allSatisfy(\.isNumber), let last = parts.last {
                parts.append("\(last).\(part)")
            } else {
                parts.append(String(part))
            }
        }
        return "/" + parts.joined(separator: "/") + "/" + operation
    }

    init(path: String) throws {
        let model = try ONNXModel(path: path)
        func isConvolution(_ module: String) throws -> Bool {
            try model.node(named: Self.node(module, "Conv")) != nil
        }
        var headLayers: [String] = []
        var layer = 1
        while try isConvolution("head.layer\(layer).0.conv1") {
            var index = 0
            while try isConvolution("head.layer\(layer).\(index).conv1") {
                headLayers.append("head.layer\(layer).\(index)")
                index += 1
            }
            layer += 1
        }
        var depths: [Int] = []
        while try isConvolution("xvector.block\(depths.count + 1).tdnnd1.linear1") {
            var depth = 0
            while try isConvolution("xvector.block\(depths.count + 1).tdnnd\(depth + 1).linear1") {
                depth += 1
            }
            depths.append(depth)
        }
        var convolutions = [
            "head.conv1", "head.conv2", "xvector.tdnn.linear", "xvector.dense.linear",
        ]
        var norms = [
            "head.bn1", "head.bn2", "xvector.tdnn.nonlinear.batchnorm",
            "xvector.out_nonlinear.batchnorm", "xvector.dense.nonlinear.batchnorm",
        ]
        for name in headLayers {
            convolutions += [name + ".conv1", name + ".conv2", name + ".shortcut.0"]
            norms += [name + ".bn1", name + ".bn2", name + ".shortcut.1"]
        }
        for (block, depth) in depths.enumerated() {
            convolutions.append("xvector.transit\(block + 1).linear")
            norms.append("xvector.transit\(block + 1).nonlinear.batchnorm")
            for index in 1...depth {
                let name = "xvector.block\(block + 1).tdnnd\(index)"
                convolutions += [
                    name + ".linear1", name + ".cam_layer.linear_local",
                    name + ".cam_layer.linear1", name + ".cam_layer.linear2",
                ]
                norms += [name + ".nonlinear1.batchnorm", name + ".nonlinear2.batchnorm"]
            }
        }
        var roles: [ONNXRole] = []
        for name in convolutions {
            let node = Self.node(name, "Conv")
            roles.append(
                ONNXRole(name + ".weight", node: node, input: 1, initializers: [name + ".weight"]))
            roles.append(
                ONNXRole(name + ".bias", node: node, input: 2, initializers: [name + ".bias"]))
        }
        let present = try norms.filter {
            try model.node(named: Self.node($0, "BatchNormalization")) != nil
        }
        for name in present {
            let node = Self.node(name, "BatchNormalization")
            let sides = ["weight", "bias", "running_mean", "running_var"]
            for (index, side) in sides.enumerated() {
                roles.append(
                    ONNXRole(
                        "\(name).\(side)", node: node, input: index + 1,
                        initializers: ["\(name).\(side)"]))
            }
        }
        self.model = model
        self.headLayers = headLayers
        blockDepths = depths
        self.convolutions = Set(try convolutions.filter(isConvolution))
        self.norms = Set(present)
        loader = WeightLoader(try model.named(roles))
    }

    func has(_ module: String) -> Bool { convolutions.contains(module) }

    /// An attribute's first value (or last, over frames), with a default for absent ones.
    private func attribute(_ module: String, _ name: String, last: Bool, default fallback: Int)
        -> Int
    {
        let node = try? model.node(named: Self.node(module, "Conv"))
        let values = node?.integers(name) ?? []
        return (last ? values.last : values.first) ?? fallback
    }

    func norm(_ name: String) -> BatchNorm {
        let count = loader.shape(name + ".running_mean")?.first ?? 1
        func side(_ side: String) -> [Float]? {
            loader.has("\(name).\(side)") ? loader.values("\(name).\(side)", [count]) : nil
        }
        let node = try? model.node(named: Self.node(name, "BatchNormalization"))
        return BatchNorm(
            weight: side("weight"), bias: side("bias"),
            mean: loader.values(name + ".running_mean", [count]),
            variance: loader.values(name + ".running_var", [count]),
            epsilon: node?.float("epsilon") ?? 1e-5)
    }

    func optionalNorm(_ name: String) -> BatchNorm? { norms.contains(name) ? norm(name) : nil }

    private func bias(_ name: String, _ count: Int) -> [Float]? {
        loader.has(name + ".bias") ? loader.values(name + ".bias", [count]) : nil
    }

    func bandConvolution(_ name: String, norm: String) -> BandConvolution {
        let found = loader.shape(name + ".weight") ?? []
        let shape = found.count == 4 ? found : [1, 1, 3, 3]
        return BandConvolution(
            weight: loader.values(name + ".weight", shape), shape: shape,
            bias: bias(name, shape[0]),
            bandStride: max(1, attribute(name, "strides", last: false, default: 1)),
            padding: attribute(name, "pads", last: false, default: 0), norm: optionalNorm(norm))
    }

    /// A convolution over frames whose norm, if it was not folded, becomes part of it.
    func convolution(_ name: String, norm: String?) -> Convolution1D {
        let found = loader.shape(name + ".weight") ?? []
        let shape = found.count == 3 ? found : [1, 1, 1]
        var weight = loader.values(name + ".weight", shape)
        var bias = bias(name, shape[0])
        if let norm, let folded = optionalNorm(norm), folded.scale.count == shape[0] {
            let width = shape[1] * shape[2]
            for output in 0..<shape[0] {
                for index in output * width..<(output + 1) * width {
                    weight[index] *= folded.scale[output]
                }
            }
            bias = (0..<shape[0]).map {
                (bias?[$0] ?? 0) * folded.scale[$0] + folded.shift[$0]
            }
        }
        return Convolution1D(
            weight: weight, outputs: shape[0], inputs: shape[1], kernel: shape[2], bias: bias,
            stride: max(1, attribute(name, "strides", last: true, default: 1)),
            padding: max(0, attribute(name, "pads", last: true, default: 0)),
            dilation: max(1, attribute(name, "dilations", last: true, default: 1)))
    }

    /// A convolution of one frame.
    func pointwise(_ name: String) -> Linear {
        let found = loader.shape(name + ".weight") ?? []
        let (outputs, inputs) = found.count == 3 ? (found[0], found[1]) : (1, 1)
        return Linear(
            weight: WeightMatrix(
                outputs: outputs, inputs: inputs,
                values: loader.values(name + ".weight", [outputs, inputs, 1])),
            bias: bias(name, outputs))
    }

    func denseLayer(_ name: String) -> DenseLayer {
        DenseLayer(
            norm: norm(name + ".nonlinear1.batchnorm"), bottleneck: pointwise(name + ".linear1"),
            bottleneckNorm: optionalNorm(name + ".nonlinear2.batchnorm"),
            local: convolution(name + ".cam_layer.linear_local", norm: nil),
            contextFirst: pointwise(name + ".cam_layer.linear1"),
            contextSecond: pointwise(name + ".cam_layer.linear2"))
    }
}

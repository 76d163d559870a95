// Layers by the names that PyTorch gives their weights.

import Checkpoints
import TensorCore

extension WeightLoader {
    /// `name.weight` [outputs, inputs] and `name.bias`.
    func linear(_ name: String, outputs: Int, inputs: Int, bias: Bool = true) -> Linear {
        Linear(
            weight: matrix(name + ".weight", outputs: outputs, inputs: inputs),
            bias: bias ? values(name + ".bias", [outputs]) : nil)
    }

    /// `name.weight` and `name.bias` of a layer norm.
    func layerNorm(_ name: String, _ width: Int) -> LayerNorm {
        LayerNorm(
            weight: values(name + ".weight", [width]), bias: values(name + ".bias", [width]),
            epsilon: 1e-5)
    }

    /// `name.weight` and `name.bias` of a group norm.
    func groupNorm(_ name: String, _ width: Int, groups: Int) -> GroupNorm {
        GroupNorm(
            groups: groups, weight: values(name + ".weight", [width]),
            bias: values(name + ".bias", [width]))
    }

    /// A convolution whose weight may be stored with weight norm.
    func convolution(
        _ name: String, outputs: Int, inputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0,
        dilation: Int = 1, bias: Bool = true
    ) -> Convolution1D {
        Convolution1D(
            weight: weightNormed(name, [outputs, inputs, kernel]), outputs: outputs, inputs: inputs,
            kernel: kernel, bias: bias ? values(name + ".bias", [outputs]) : nil, stride: stride,
            padding: padding, dilation: dilation)
    }

    /// A transposed convolution whose weight may be stored with weight norm.
    func transposedConvolution(
        _ name: String, inputs: Int, outputs: Int, kernel: Int, stride: Int, padding: Int
    ) -> TransposedConvolution1D {
        TransposedConvolution1D(
            weight: weightNormed(name, [inputs, outputs, kernel]), inputs: inputs, outputs: outputs,
            kernel: kernel, bias: values(name + ".bias", [outputs]), stride: stride,
            padding: padding)
    }
}

// What a stored tensor is in a quantised checkpoint, known from its name and form alone.

import TensorCore

/// Tells the tensors of quantised matrices from plain ones.
public enum QuantizedTensor {
    /// The precision in memory of the matrix whose numbers a tensor holds, nil for a plain tensor.
    ///
    /// AWQ counts as int8: whether its zero points allow int4 is known only when it is read.
    public static func precision(of tensor: StoredTensor) -> WeightPrecision? {
        if let own = QuantizedBlocks.precision(tensor) { return own }
        if tensor.name.hasSuffix(".weight_packed") { return .int4 }
        if tensor.name.hasSuffix(".qweight") { return .int8 }
        return tensor.scalarType == .int8 && tensor.shape.count == 2 ? .int8 : nil
    }

    /// The weights that such a tensor holds.
    public static func weightCount(of tensor: StoredTensor) -> Int {
        if QuantizedBlocks.precision(tensor) != nil {
            return tensor.shape[0] * tensor.shape[1] * QuantizedBlocks.tile * QuantizedBlocks.group
        }
        return tensor.elementCount * (tensor.scalarType == .int32 ? 8 : 1)
    }

    /// Whether a tensor only describes a quantised matrix: its scales, zero points or shape.
    public static func isCompanion(_ name: String) -> Bool {
        [
            ".weight_scale", ".weight_zero_point", ".weight_shape", ".weight_format", ".SCB",
            ".qzeros", ".scales",
        ].contains { name.hasSuffix($0) }
    }
}

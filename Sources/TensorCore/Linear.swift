// The fully connected layer of the fp32 networks, its weights packed for the product kernel.

/// y = x W^T + b over the last axis.
public struct Linear: Sendable {
    /// [outputs, inputs].
    public let weight: PackedMatrix
    /// One value an output, or nil.
    public let bias: [Float]?

    /// Makes the layer; a bias must have one value an output.
    public init(weight: WeightMatrix, bias: [Float]?) {
        precondition(bias == nil || bias?.count == weight.outputs, "bias of another size")
        self.weight = PackedMatrix(weight)
        self.bias = bias
    }

    /// [T, inputs] -> [T, outputs], with a function of every element.
    public func callAsFunction(_ x: Tensor, _ activation: Activation? = nil) -> Tensor {
        precondition(x.columns == weight.inputs, "\(x.shape) times \(weight.inputs) inputs")
        var result = weight.multiply(
            x, count: x.rows, shape: .init(), bias: bias, end: .init(activation: activation))
        result.shape = Array(x.shape.dropLast()) + [weight.outputs]
        return result
    }

    /// [T, inputs] -> [T, outputs] added to `sum`.
    public func callAsFunction(_ x: Tensor, addedTo sum: Tensor) -> Tensor {
        precondition(x.columns == weight.inputs, "\(x.shape) times \(weight.inputs) inputs")
        precondition(sum.rows == x.rows && sum.columns == weight.outputs, "\(sum.shape)")
        return sum.withRows { addend in
            weight.multiply(
                x, count: x.rows, shape: .init(), bias: bias, end: .init(addend: addend))
        }
    }

    /// Rows on the calling thread: output row i comes from input row i.
    package func apply(_ input: Rows, into output: Rows, end: ProductEnd = .init()) {
        weight.multiply(0..<input.count, of: input, into: output, bias: bias, end: end)
    }
}

// Element-wise non-linearities, in place and on all cores.

import Kernels

/// A scalar function applied to every element.
public enum Activation: Sendable, Equatable {
    case relu
    /// x for positive x, slope times x otherwise.
    case leakyReLU(Float)
    /// Exponential linear unit with alpha 1.
    case elu
    case silu
    /// The exact form, with the error function.
    case gelu
    case mish
    case sigmoid
    case tanh
    case exponential

    /// Its number and parameter in the kernels.
    var code: (function: UInt32, parameter: Float) {
        switch self {
        case .relu: (SA_RELU.rawValue, 0)
        case .leakyReLU(let slope): (SA_LEAKY_RELU.rawValue, slope)
        case .elu: (SA_ELU.rawValue, 0)
        case .silu: (SA_SILU.rawValue, 0)
        case .gelu: (SA_GELU.rawValue, 0)
        case .mish: (SA_MISH.rawValue, 0)
        case .sigmoid: (SA_SIGMOID.rawValue, 0)
        case .tanh: (SA_TANH.rawValue, 0)
        case .exponential: (SA_EXP.rawValue, 0)
        }
    }

    /// Applies the function to `count` floats on the calling thread.
    package func apply(_ x: UnsafeMutablePointer<Float>, count: Int) {
        let (function, parameter) = code
        sa_apply(Int32(function), x, count, parameter)
    }
}

extension Tensor {
    /// Applies a function to every element.
    public mutating func apply(_ activation: Activation) {
        let count = values.count
        values.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            let target = SharedPointer(base)
            Parallel.forEachRange(count, grain: 16_384) { range in
                activation.apply(target.base + range.lowerBound, count: range.count)
            }
        }
    }

    /// The tensor with a function applied to every element.
    public func applying(_ activation: Activation) -> Tensor {
        var result = self
        result.apply(activation)
        return result
    }

    /// Snake: x + sin^2(alpha x) / (alpha + 1e-9) with one alpha a column.
    ///
    /// Source: Ziyin, Hartwig and Ueda, "Neural Networks Fail to Learn Periodic Functions" (2020).
    public mutating func applySnake(alpha: [Float]) {
        precondition(alpha.count == columns, "\(alpha.count) alphas for \(columns) columns")
        let (rows, columns) = (rows, columns)
        values.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            let target = SharedPointer(base)
            Parallel.forEachRange(rows, grain: max(1, 8192 / max(1, columns))) { range in
                sa_snake(
                    target.base + range.lowerBound * columns, range.count, columns, alpha)
            }
        }
    }

    /// silu(gate) * up, element by element; `self` is the gate.
    public mutating func applyGatedSiLU(_ up: Tensor) {
        precondition(up.values.count == values.count, "\(shape) gate, \(up.shape) up")
        let count = values.count
        values.withUnsafeMutableBufferPointer { buffer in
            up.values.withUnsafeBufferPointer { source in
                guard let base = buffer.baseAddress, let other = source.baseAddress else { return }
                let (target, from) = (SharedPointer(base), SharedReadPointer(other))
                Parallel.forEachRange(count, grain: 16_384) { range in
                    sa_silu_product(
                        target.base + range.lowerBound, from.base + range.lowerBound, range.count)
                }
            }
        }
    }

    /// Softmax over the last axis.
    public mutating func applySoftmax() {
        let (rows, columns) = (rows, columns)
        values.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            let target = SharedPointer(base)
            Parallel.forEachRange(rows, grain: max(1, 16_384 / max(1, columns))) { range in
                sa_softmax(
                    target.base + range.lowerBound * columns, range.count, columns, columns)
            }
        }
    }
}

// The choke point between files and networks: layers ask for tensors by name and shape; what is missing,
// misshapen, not finite or left over is remembered, and `finish` throws all of it as one error.

import TensorCore

/// Hands out a checkpoint's tensors and keeps the account of what does not fit.
///
/// A request that cannot be met gives zeros of the right size, so that a network can be built to its end
/// and every problem is known at once; nothing built from it may be used before `finish` returned.
/// Ask `expect` for all shapes first where placeholders would be large. Not Sendable: one load, one
/// loader.
public final class WeightLoader {
    let prefix: String
    let ledger: Ledger

    /// - Parameters:
    ///   - source: the tensors.
    ///   - prefix: stands before every name asked; tensors outside it are not this loader's business.
    ///   - ignoring: beginnings of names that may stay unread; `*.suffix` means an ending.
    public init(_ source: any TensorSource, prefix: String = "", ignoring: [String] = []) {
        self.prefix = prefix
        ledger = Ledger(source: source, prefix: prefix, ignoring: ignoring)
    }

    private init(ledger: Ledger, prefix: String) {
        self.ledger = ledger
        self.prefix = prefix
    }

    /// The same loader with a longer prefix, for a part of the network.
    public func scoped(_ part: String) -> WeightLoader {
        WeightLoader(ledger: ledger, prefix: prefix + part)
    }

    /// Where the tensors came from.
    public var origin: String { ledger.source.origin }

    /// What was found wrong so far.
    public var problems: [WeightProblem] { ledger.problems }

    /// The tensor's shape, nil when it is absent or empty; no problem is recorded.
    public func shape(_ name: String) -> [Int]? {
        ledger.tensors[prefix + name].flatMap { $0.elementCount > 0 ? $0.shape : nil }
    }

    /// Whether there is a tensor of this name.
    public func has(_ name: String) -> Bool { shape(name) != nil }

    /// How many consecutive indices from 0 exist where the pattern has `#`, such as
    /// `encoder.encoders.#.norm1.weight`.
    public func count(_ pattern: String) -> Int {
        let parts = (prefix + pattern).split(
            separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return 0 }
        var index = 0
        while ledger.tensors["\(parts[0])\(index)\(parts[1])"] != nil {
            index += 1
        }
        return index
    }

    /// Records a problem unless the tensor exists with this shape; reads nothing.
    public func expect(_ name: String, _ shape: [Int]) {
        _ = ledger.find(prefix + name, shape)
    }

    /// The tensor as it is stored, nil with a recorded problem when it does not fit.
    public func stored(_ name: String, _ shape: [Int]) -> StoredTensor? {
        ledger.find(prefix + name, shape)
    }

    /// The tensor's values in row-major order; zeros and a recorded problem when it does not fit.
    public func values(_ name: String, _ shape: [Int]) -> [Float] {
        guard let tensor = ledger.findFloats(prefix + name, shape) else {
            return Ledger.placeholder(shape)
        }
        return tensor.floats()
    }

    /// The tensor as fp32; zeros and a recorded problem when it does not fit.
    public func tensor(_ name: String, _ shape: [Int]) -> Tensor {
        Tensor(shape: shape, values: values(name, shape))
    }

    /// A tensor of integers; zeros and a recorded problem when it does not fit.
    public func integers(_ name: String, _ shape: [Int]) -> [Int] {
        let zeros = [Int](repeating: 0, count: elementCount(of: shape) ?? 0)
        guard let tensor = ledger.find(prefix + name, shape) else { return zeros }
        guard let values = try? tensor.integers() else {
            ledger.record(
                .unusable(
                    name: prefix + name,
                    reason: "holds \(tensor.scalarType.rawValue), integers are needed"))
            return zeros
        }
        return values
    }

    /// A weight matrix [outputs, inputs], in place where the file's type is the precision asked;
    /// `transposed` means that the file has it as [inputs, outputs].
    ///
    /// A matrix that the file holds quantised stays so, whatever precision is asked.
    public func matrix(
        _ name: String, outputs: Int, inputs: Int, precision: WeightPrecision = .fp32,
        transposed: Bool = false
    ) -> WeightMatrix {
        if !transposed, let matrix = quantized(name, outputs: outputs, inputs: inputs) {
            return matrix
        }
        let shape = transposed ? [inputs, outputs] : [outputs, inputs]
        guard let tensor = ledger.findFloats(prefix + name, shape) else {
            return ledger.placeholder(outputs: outputs, inputs: inputs, precision: precision)
        }
        if transposed {
            let values = Tensor(shape: shape, values: tensor.floats()).transposed().values
            return WeightMatrix(
                outputs: outputs, inputs: inputs, values: values, precision: precision)
        }
        do {
            return try WeightMatrix(tensor, precision: precision)
        } catch {
            ledger.record(.unusable(name: prefix + name, reason: error.description))
            return ledger.placeholder(outputs: outputs, inputs: inputs, precision: precision)
        }
    }

    /// The weight of `name` (with or without its `.weight`), whether it is stored plain, as
    /// `weight_g` and `weight_v`, or as `parametrizations.weight.original0` and `original1`:
    /// w = g v / |v|, the norm taken over all axes but the first.
    public func weightNormed(_ name: String, _ shape: [Int]) -> [Float] {
        let base = name.hasSuffix(".weight") ? String(name.dropLast(7)) : name
        let spellings = [
            (base + ".weight_g", base + ".weight_v"),
            (
                base + ".parametrizations.weight.original0",
                base + ".parametrizations.weight.original1"
            ),
        ]
        guard
            let (scale, direction) = spellings.first(where: {
                ledger.tensors[prefix + $0.0] != nil || ledger.tensors[prefix + $0.1] != nil
            })
        else { return values(base + ".weight", shape) }
        let rows = shape.first ?? 1
        let scaleShape = [rows] + Array(repeating: 1, count: max(shape.count - 1, 0))
        let isFlat = self.shape(scale) == [rows]
        let soundBefore = ledger.problems.count
        let g = values(scale, isFlat ? [rows] : scaleShape)
        var v = values(direction, shape)
        let width = rows > 0 ? v.count / rows : 0
        for row in 0..<min(rows, g.count) {
            let range = (row * width)..<((row + 1) * width)
            let norm = v[range].reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            guard norm > 0 else {
                if ledger.problems.count == soundBefore {
                    ledger.record(
                        .unusable(
                            name: prefix + direction,
                            reason: "is all zeros in row \(row), which has no direction"))
                }
                break
            }
            let factor = Float(Double(g[row]) / norm)
            for index in range {
                v[index] *= factor
            }
        }
        return v
    }

    /// Throws one error with every problem, unread tensors included.
    public func finish() throws {
        let problems = ledger.problems + ledger.unused()
        guard problems.isEmpty else {
            throw CheckpointError.weights(origin: origin, problems: problems)
        }
    }

    /// Throws what `expect` and the requests so far have found; unread tensors are not a problem yet.
    public func check() throws {
        guard ledger.problems.isEmpty else {
            throw CheckpointError.weights(origin: origin, problems: ledger.problems)
        }
    }
}

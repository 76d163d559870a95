// What a weight loader and its scopes share: which tensors were asked for, which did not fit, and one
// block of zeros for all matrices that could not be given.

import TensorCore

/// The account of one load.
final class Ledger {
    let source: any TensorSource
    let tensors: [String: StoredTensor]
    private let prefix: String
    private let ignoring: [String]
    private(set) var problems: [WeightProblem] = []
    private var asked: Set<String> = []
    private var zeros = TensorStorage(zeros: 0)

    init(source: any TensorSource, prefix: String, ignoring: [String]) {
        self.source = source
        self.prefix = prefix
        self.ignoring = ignoring
        tensors = source.tensors
    }

    /// Remembers a problem once.
    func record(_ problem: WeightProblem) {
        if !problems.contains(problem) {
            problems.append(problem)
        }
    }

    /// The tensor of this full name, whatever its shape; no problem is recorded.
    func take(_ name: String) -> StoredTensor? {
        asked.insert(name)
        return tensors[name]
    }

    /// The tensor of this full name if its shape is right.
    func find(_ name: String, _ shape: [Int]) -> StoredTensor? {
        asked.insert(name)
        guard let tensor = tensors[name] else {
            record(.missing(name: name, shape: shape))
            return nil
        }
        guard tensor.shape == shape else {
            record(.misshapen(name: name, shape: tensor.shape, expected: shape))
            return nil
        }
        return tensor
    }

    /// The tensor of this full name if its shape is right and all its values are finite numbers.
    func findFloats(_ name: String, _ shape: [Int]) -> StoredTensor? {
        guard let tensor = find(name, shape) else { return nil }
        guard tensor.isFloating else {
            record(
                .unusable(
                    name: name,
                    reason: "holds \(tensor.scalarType.rawValue), floating-point numbers are needed"
                ))
            return nil
        }
        if let index = tensor.firstNonFinite() {
            record(.nonFinite(name: name, index: index, value: tensor.shownValue(at: index)))
            return nil
        }
        return tensor
    }

    /// Tensors under the prefix that nobody asked for and nobody ignores.
    func unused() -> [WeightProblem] {
        tensors
            .filter { name, _ in !asked.contains(name) && isCounted(name) }
            .map { WeightProblem.unused(name: $0.key, shape: $0.value.shape) }
            .sorted { $0.name < $1.name }
    }

    private func isCounted(_ name: String) -> Bool {
        name.hasPrefix(prefix)
            && !ignoring.contains {
                $0.hasPrefix("*") ? name.hasSuffix($0.dropFirst()) : name.hasPrefix($0)
            }
    }

    /// Values that nobody may use: the load will fail.
    static func placeholder(_ shape: [Int]) -> [Float] {
        [Float](repeating: 0, count: elementCount(of: shape) ?? 0)
    }

    /// A matrix that nobody may use; all of them share the largest block of zeros.
    func placeholder(outputs: Int, inputs: Int, precision: WeightPrecision) -> WeightMatrix {
        let type: ScalarType = precision == .fp32 ? .float32 : .bfloat16
        let size = byteCount(of: [outputs, inputs], type) ?? 0
        if zeros.count < size {
            zeros = TensorStorage(zeros: size)
        }
        let stored = try? StoredTensor(
            name: "", shape: [outputs, inputs], scalarType: type, storage: zeros, byteOffset: 0)
        return stored.flatMap { try? WeightMatrix($0, precision: type == .float32 ? .fp32 : .bf16) }
            ?? WeightMatrix(outputs: 0, inputs: 0, values: [])
    }
}

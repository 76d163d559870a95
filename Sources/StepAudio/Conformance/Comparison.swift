// How a stage's output is held against the expected tensor: the figures and the tolerances.

import Foundation
import TensorCore

/// The bound that an output has to meet on the fp32 path.
public enum Tolerance: Sendable, Equatable {
    /// Every element equal.
    case exact
    /// Largest difference.
    case maximum(Float)
    /// Cosine at least 0.99999 and largest difference within 1e-3 of the largest magnitude.
    case activations
    /// Mean difference at most 1e-4 and the largest element of every row at the same place.
    case logits
    /// Cosine at least 0.99999.
    case cosine
    /// Mean difference at most 0.05 Hz and the same voiced frames (above the given threshold).
    case pitch(voicedAbove: Float)
    /// Signal-to-noise ratio in dB.
    case signalToNoise(Float)
}

/// The figures of one compared output.
public struct Comparison: Sendable, Codable, Equatable {
    /// Name of the output.
    public var output: String
    /// Shape of the expected tensor.
    public var shape: [Int]
    /// Share of equal elements, for ids, codes and text.
    public var exactShare: Double?
    /// Largest difference.
    public var maximumDifference: Double?
    /// Mean difference.
    public var meanDifference: Double?
    /// Cosine of the two tensors.
    public var cosine: Double?
    /// Signal-to-noise ratio in dB, for sound.
    public var signalToNoise: Double?
    /// Whether the tolerance is met.
    public var passed: Bool
    /// Why not, when the figures do not say it.
    public var problem: String?

    /// What a stage computed.
    public enum Output: Sendable {
        /// Floats with their shape.
        case floats(Tensor)
        /// Integer ids or codes.
        case integers([Int])
        /// Text.
        case text(String)
    }

    static func failure(_ output: String, shape: [Int], _ problem: String) -> Comparison {
        Comparison(output: output, shape: shape, passed: false, problem: problem)
    }

    /// Compares one output with its expected tensor.
    package static func compare(
        _ name: String, computed: Output, expected: StoredTensor, tolerance: Tolerance
    ) -> Comparison {
        switch computed {
        case .text(let text):
            let bytes = expected.withBytes { Array($0) }
            return compareElements(
                name, Array(text.utf8), bytes, shape: expected.shape,
                typeMatches: expected.scalarType == .uint8)
        case .integers(let values):
            return compareElements(
                name, values, (try? expected.integers()) ?? [], shape: expected.shape,
                typeMatches: expected.scalarType == .int64)
        case .floats(let tensor):
            guard expected.scalarType == .float32 else {
                return failure(
                    name, shape: expected.shape,
                    "expected tensor is \(expected.scalarType.rawValue), float32 is compared")
            }
            return compareFloats(name, tensor, expected, tolerance)
        }
    }

    private static func compareElements<Element: Equatable>(
        _ name: String, _ computed: [Element], _ expected: [Element], shape: [Int],
        typeMatches: Bool
    ) -> Comparison {
        guard typeMatches else {
            return failure(name, shape: shape, "the expected tensor has another element type")
        }
        let equal = zip(computed, expected).count { $0 == $1 }
        let longest = max(computed.count, expected.count)
        var result = Comparison(
            output: name, shape: shape,
            exactShare: longest == 0 ? 1 : Double(equal) / Double(longest),
            passed: computed == expected)
        if computed.count != expected.count {
            result.problem = "\(computed.count) elements, expected \(expected.count)"
        } else if let first = zip(computed, expected).enumerated().first(where: {
            $0.element.0 != $0.element.1
        }) {
            result.problem =
                "element \(first.offset) is \(first.element.0), expected \(first.element.1)"
        }
        return result
    }

    private static func compareFloats(
        _ name: String, _ computed: Tensor, _ expected: StoredTensor, _ tolerance: Tolerance
    ) -> Comparison {
        guard computed.shape == expected.shape else {
            return failure(
                name, shape: expected.shape, "shape \(computed.shape), expected \(expected.shape)")
        }
        let wanted = expected.floats()
        guard computed.values.allSatisfy(\.isFinite) else {
            return failure(name, shape: expected.shape, "values that are not finite")
        }
        var (worst, total, dot, left, right, largest) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        var noise = 0.0
        for (value, reference) in zip(computed.values, wanted) {
            let (x, y) = (Double(value), Double(reference))
            worst = max(worst, abs(x - y))
            total += abs(x - y)
            noise += (x - y) * (x - y)
            dot += x * y
            left += x * x
            right += y * y
            largest = max(largest, abs(y))
        }
        let mean = wanted.isEmpty ? 0 : total / Double(wanted.count)
        let product = (left * right).squareRoot()
        let cosine = product > 0 ? dot / product : (left == right ? 1 : 0)
        var result = Comparison(
            output: name, shape: expected.shape, maximumDifference: worst, meanDifference: mean,
            cosine: cosine, passed: false)
        switch tolerance {
        case .exact: result.passed = worst == 0
        case .maximum(let bound): result.passed = worst <= Double(bound)
        case .activations: result.passed = cosine >= 0.99999 && worst <= 1e-3 * largest
        case .cosine: result.passed = cosine >= 0.99999
        case .logits:
            let wrong = rowsWithAnotherMaximum(computed, wanted)
            result.passed = mean <= 1e-4 && wrong == 0
            if wrong > 0 {
                result.problem = "\(wrong) of \(computed.rows) rows have another largest element"
            }
        case .pitch(let threshold):
            let flags = zip(computed.values, wanted).count { ($0 > threshold) != ($1 > threshold) }
            result.passed = mean <= 0.05 && flags == 0
            if flags > 0 {
                result.problem = "\(flags) frames differ in voicing"
            }
        case .signalToNoise(let bound):
            let ratio = noise > 0 ? 10 * log10(right / noise) : Double.infinity
            result.signalToNoise = min(ratio, 999)
            result.passed = ratio >= Double(bound) || worst == 0
        }
        return result
    }

    private static func rowsWithAnotherMaximum(_ computed: Tensor, _ wanted: [Float]) -> Int {
        let columns = computed.columns
        func largest(_ values: ArraySlice<Float>) -> Int? {
            values.indices.max { values[$0] < values[$1] }.map { $0 - values.startIndex }
        }
        return (0..<computed.rows).count { row in
            let range = row * columns..<(row + 1) * columns
            return largest(computed.values[range]) != largest(wanted[range])
        }
    }
}

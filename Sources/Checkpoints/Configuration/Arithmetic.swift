// Arithmetic in references, such as `!ref <sample_rate> // <hop>`: + - * / // % ** and brackets, with
// Python's meaning (/ gives a fraction, // and % round down).

import Foundation

/// Evaluates a formula of numbers.
enum Arithmetic {
    /// The formula's value, nil when the text is not one (it is text then).
    static func evaluate(_ text: String) -> JSONValue? {
        var parser = Parser(rest: Array(text.utf8)[...])
        guard text.utf8.count <= 1000, let value = parser.sum() else { return nil }
        parser.skipSpace()
        guard parser.rest.isEmpty else { return nil }
        switch value {
        case .integer, .number: return value
        default: return nil
        }
    }

    private struct Parser {
        var rest: ArraySlice<UInt8>
        var depth = 0

        mutating func skipSpace() {
            rest = rest.drop { $0 == 0x20 || $0 == 0x09 }
        }

        mutating func skip(_ token: String) -> Bool {
            skipSpace()
            guard rest.starts(with: token.utf8) else { return false }
            rest = rest.dropFirst(token.utf8.count)
            return true
        }

        mutating func sum() -> JSONValue? {
            guard var value = product() else { return nil }
            while true {
                if skip("+") {
                    guard let next = product(),
                        let sum = combine(value, next, { $0.addingReportingOverflow($1) }, +)
                    else { return nil }
                    value = sum
                } else if skip("-") {
                    guard let next = product(),
                        let rest = combine(value, next, { $0.subtractingReportingOverflow($1) }, -)
                    else { return nil }
                    value = rest
                } else {
                    return value
                }
            }
        }

        mutating func product() -> JSONValue? {
            guard var value = factor() else { return nil }
            while true {
                if skip("//") {
                    guard let next = factor(), let result = floorDivide(value, next) else {
                        return nil
                    }
                    value = result
                } else if skip("*") {
                    guard let next = factor(),
                        let result = combine(
                            value, next, { $0.multipliedReportingOverflow(by: $1) }, *)
                    else { return nil }
                    value = result
                } else if skip("/") {
                    guard let next = factor(), let a = double(value), let b = double(next), b != 0
                    else { return nil }
                    value = .number(a / b)
                } else if skip("%") {
                    guard let next = factor(), let quotient = floorDivide(value, next),
                        let back = combine(
                            quotient, next, { $0.multipliedReportingOverflow(by: $1) }, *),
                        let result = combine(
                            value, back, { $0.subtractingReportingOverflow($1) }, -)
                    else { return nil }
                    value = result
                } else {
                    return value
                }
            }
        }

        mutating func factor() -> JSONValue? {
            depth += 1
            defer { depth -= 1 }
            guard depth <= 32 else { return nil }
            if skip("-") {
                return factor().flatMap {
                    combine(.integer(0), $0, { $0.subtractingReportingOverflow($1) }, -)
                }
            }
            if skip("+") { return factor() }
            guard let base = atom() else { return nil }
            guard skip("**") else { return base }
            guard let exponent = factor(), let a = double(base), let b = double(exponent) else {
                return nil
            }
            let power = pow(a, b)
            if case .integer = base, case .integer(let exponent) = exponent, exponent >= 0,
                abs(power) <= 0x1p53
            {
                return .integer(Int(power))
            }
            return power.isFinite ? .number(power) : nil
        }

        mutating func atom() -> JSONValue? {
            if skip("(") {
                guard let value = sum(), skip(")") else { return nil }
                return value
            }
            skipSpace()
            var length = 0
            var previous = UInt8(0)
            for byte in rest {
                let isSign = byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
                let isExponent = byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E")
                guard
                    (0x30...0x39).contains(byte) || byte == UInt8(ascii: ".")
                        || isExponent && length > 0 || isSign && (previous | 0x20) == 0x65
                else { break }
                previous = byte
                length += 1
            }
            let text = String(decoding: rest.prefix(length), as: UTF8.self)
            rest = rest.dropFirst(length)
            if let value = Int(text) { return .integer(value) }
            return Double(text).flatMap { $0.isFinite ? .number($0) : nil }
        }

        func double(_ value: JSONValue) -> Double? {
            switch value {
            case .integer(let value): Double(value)
            case .number(let value): value
            default: nil
            }
        }

        /// Integers stay integers; what leaves their range is no formula.
        func combine(
            _ a: JSONValue, _ b: JSONValue,
            _ integers: (Int, Int) -> (partialValue: Int, overflow: Bool),
            _ doubles: (Double, Double) -> Double
        ) -> JSONValue? {
            if case .integer(let a) = a, case .integer(let b) = b {
                let (value, overflow) = integers(a, b)
                return overflow ? nil : .integer(value)
            }
            guard let a = double(a), let b = double(b) else { return nil }
            let value = doubles(a, b)
            return value.isFinite ? .number(value) : nil
        }

        func floorDivide(_ a: JSONValue, _ b: JSONValue) -> JSONValue? {
            if case .integer(let a) = a, case .integer(let b) = b {
                let (quotient, overflow) = a.dividedReportingOverflow(by: b)
                guard !overflow else { return nil }
                return .integer(quotient * b != a && (a < 0) != (b < 0) ? quotient - 1 : quotient)
            }
            guard let a = double(a), let b = double(b), b != 0 else { return nil }
            return .number((a / b).rounded(.down))
        }
    }
}

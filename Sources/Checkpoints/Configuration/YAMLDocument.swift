// Reads YAML files into plain values with their tags. Yams parses; this file bounds what it may be given
// and what aliases may unfold to, and gives plain scalars their types (YAML 1.2, and yes/no/on/off).

import Foundation
import Yams

/// A YAML value; mappings have text keys that stand once.
package indirect enum YAMLValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case sequence([YAMLValue])
    case mapping([String: YAMLValue])
    /// A value behind an application's tag, such as `!ref`.
    case tagged(tag: String, YAMLValue)
}

/// Reads one file.
package struct YAMLDocument {
    /// The file's value.
    package let root: YAMLValue
    /// The file's path.
    package let path: String

    static let maximumBytes = 4 << 20
    static let maximumAliases = 32
    static let maximumIndentation = 256
    static let maximumDepth = 64
    static let maximumValues = 100_000

    /// Reads a file; throws `CheckpointError`.
    package init(path: String) throws {
        self.path = path
        let text = try readText(path, format: "YAML", limit: Self.maximumBytes)
        if let reason = Self.excess(in: text) {
            throw CheckpointError.malformed(path: path, format: "YAML", reason: reason)
        }
        do {
            var reader = YAMLNodeReader()
            root = try Yams.compose(yaml: text).map { try reader.value($0, depth: 0) } ?? .null
        } catch {
            throw CheckpointError.malformed(
                path: path, format: "YAML", reason: Self.reason(of: error))
        }
    }

    /// What Yams should not be asked to read: it parses by recursion and unfolds aliases.
    private static func excess(in text: String) -> String? {
        var depth = 0
        var column = 0
        var isIndentation = true
        var aliases = 0
        var previous = UInt8(ascii: "\n")
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\n"):
                column = 0
                isIndentation = true
            case UInt8(ascii: " "), UInt8(ascii: "-"), UInt8(ascii: "?"), UInt8(ascii: ":"):
                column += isIndentation ? 1 : 0
            default: isIndentation = false
            }
            switch byte {
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth = max(0, depth - 1)
            case UInt8(ascii: "*"):
                if " \n[{,:-".utf8.contains(previous) { aliases += 1 }
            default: break
            }
            guard column <= maximumIndentation, depth <= maximumDepth else {
                return "more than \(maximumDepth) levels of nesting"
            }
            guard aliases <= maximumAliases else { return "more than \(maximumAliases) aliases" }
            previous = byte
        }
        return nil
    }

    private static func reason(of error: any Error) -> String {
        switch error {
        case let error as YAMLNodeReader.Failure: return error.reason
        case YamlError.scanner(_, let problem, let mark, _),
            YamlError.parser(_, let problem, let mark, _),
            YamlError.composer(_, let problem, let mark, _):
            return "line \(mark.line): \(problem)"
        case YamlError.duplicatedKeysInMapping(let keys, let context):
            return "line \(context.mark.line): the key \(keys.joined(separator: ", ")) stands twice"
        case YamlError.reader(let problem, _, _, _): return problem
        default: return "it cannot be parsed"
        }
    }
}

/// Turns parsed nodes into values, counting them: an alias counts as what it stands for.
private struct YAMLNodeReader {
    struct Failure: Error { let reason: String }

    var count = 0

    mutating func value(_ node: Node, depth: Int) throws -> YAMLValue {
        count += 1
        guard count <= YAMLDocument.maximumValues else {
            throw Failure(
                reason: "its aliases unfold to more than \(YAMLDocument.maximumValues) values")
        }
        guard depth < YAMLDocument.maximumDepth else {
            throw Failure(reason: "more than \(YAMLDocument.maximumDepth) levels of nesting")
        }
        switch node {
        case .scalar(let scalar):
            let tag = scalar.tag.rawValue
            if tag.hasPrefix("!") { return .tagged(tag: tag, .string(scalar.string)) }
            if scalar.style != .plain || tag == "tag:yaml.org,2002:str" {
                return .string(scalar.string)
            }
            return Self.plain(scalar.string)
        case .sequence(let sequence):
            let values = try sequence.map { try value($0, depth: depth + 1) }
            return Self.tagged(sequence.tag.rawValue, .sequence(values))
        case .mapping(let mapping):
            return Self.tagged(
                mapping.tag.rawValue, .mapping(try members(mapping, depth: depth)))
        case .alias:
            throw Failure(reason: "an alias that stands for nothing")
        }
    }

    private static func tagged(_ tag: String, _ value: YAMLValue) -> YAMLValue {
        tag.hasPrefix("!") && tag != "!" ? .tagged(tag: tag, value) : value
    }

    private mutating func members(
        _ mapping: Node.Mapping, depth: Int
    ) throws -> [String: YAMLValue] {
        var members: [String: YAMLValue] = [:]
        var merged: [String: YAMLValue] = [:]
        for (key, inner) in mapping {
            guard case .scalar(let name) = key else {
                throw Failure(reason: "a key that is not text")
            }
            let value = try value(inner, depth: depth + 1)
            if name.string == "<<", name.style == .plain {
                try merge(value, into: &merged)
            } else if members.updateValue(value, forKey: name.string) != nil {
                throw Failure(reason: "the key \(name.string) stands twice")
            }
        }
        return members.merging(merged) { own, _ in own }
    }

    private func merge(_ value: YAMLValue, into merged: inout [String: YAMLValue]) throws {
        switch value {
        case .mapping(let members): merged.merge(members) { first, _ in first }
        case .sequence(let values):
            for value in values {
                guard case .mapping = value else { throw Failure(reason: "<< of no mapping") }
                try merge(value, into: &merged)
            }
        default: throw Failure(reason: "<< of no mapping")
        }
    }

    private static func plain(_ text: String) -> YAMLValue {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON": return .bool(true)
        case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF":
            return .bool(false)
        default: break
        }
        let digits = text.filter { $0 != "_" }
        if let value = Int(digits) { return .integer(value) }
        if digits.hasPrefix("0x"), let value = Int(digits.dropFirst(2), radix: 16) {
            return .integer(value)
        }
        switch digits {
        case ".inf", "+.inf", ".Inf", ".INF": return .number(.infinity)
        case "-.inf", "-.Inf", "-.INF": return .number(-.infinity)
        case ".nan", ".NaN", ".NAN": return .number(.nan)
        default: break
        }
        // Swift also reads hexadecimal floats and words such as "nan"; YAML takes those as text.
        if digits.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }),
            digits.utf8.contains(where: { (0x30...0x39).contains($0) }),
            let value = Double(digits)
        {
            return .number(value)
        }
        return .string(text)
    }
}

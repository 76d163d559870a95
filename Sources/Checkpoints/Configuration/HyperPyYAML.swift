// The part of HyperPyYAML that configurations of speech models use: `!new:` and `!name:` describe an object
// (nothing is made), `!ref <key>` and `!ref <key[sub]>` stand for another value, also inside arithmetic
// or text. Only the values that are asked for are looked at; nothing is ever called.

import Foundation

/// A HyperPyYAML file whose top-level values can be asked for.
package struct HyperPyYAML {
    /// The file's path.
    package let path: String
    private let members: [String: YAMLValue]

    /// The key under which a resolved object carries its class.
    package static let classKey = "!class"

    static let maximumDepth = 64
    static let maximumValues = 100_000

    /// Reads a file; throws `CheckpointError`.
    package init(path: String) throws {
        self.path = path
        guard case .mapping(let members) = try YAMLDocument(path: path).root else {
            throw CheckpointError.malformed(
                path: path, format: "HyperPyYAML", reason: "it is not a mapping at the top")
        }
        self.members = members
    }

    /// A top-level value with all references followed, nil when there is none.
    package func value(_ key: String) throws -> JSONValue? {
        guard let value = members[key] else { return nil }
        var resolver = Resolver(path: path, members: members)
        return try resolver.resolve(value, at: [key])
    }
}

/// Follows references, once for each value asked.
private struct Resolver {
    let path: String
    let members: [String: YAMLValue]
    var open: [String] = []
    var count = 0

    func malformed(_ reason: String) -> CheckpointError {
        .malformed(path: path, format: "HyperPyYAML", reason: reason)
    }

    /// `place` is the way to the value, for messages and for its depth.
    mutating func resolve(_ value: YAMLValue, at place: [String]) throws -> JSONValue {
        count += 1
        guard count <= HyperPyYAML.maximumValues else {
            throw malformed(
                "its references unfold to more than \(HyperPyYAML.maximumValues) values")
        }
        guard place.count + open.count <= HyperPyYAML.maximumDepth else {
            throw malformed("more than \(HyperPyYAML.maximumDepth) levels at \(shown(place))")
        }
        switch value {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(value)
        case .number(let value): return .number(value)
        case .string(let text): return .string(text)
        case .sequence(let values):
            return .array(
                try values.enumerated().map { index, value in
                    try resolve(value, at: place + ["\(index)"])
                })
        case .mapping(let members):
            var result: [String: JSONValue] = [:]
            for (key, value) in members {
                result[key] = try resolve(value, at: place + [key])
            }
            return .object(result)
        case .tagged(let tag, let inner): return try resolve(inner, tag: tag, at: place)
        }
    }

    private mutating func resolve(
        _ value: YAMLValue, tag: String, at place: [String]
    ) throws -> JSONValue {
        switch (tag, value) {
        case ("!ref", .string(let text)), ("!copy", .string(let text)):
            return try reference(text, at: place)
        case ("!tuple", _): return try resolve(value, at: place)
        default: break
        }
        let kind = tag.prefix { $0 != ":" }
        guard kind == "!new" || kind == "!name" else {
            throw CheckpointError.unsupported(
                path: path, what: "the tag \(tag.prefix(60)) at \(shown(place))",
                accepted: "!new:, !name:, !ref, !copy, !tuple")
        }
        let name = JSONValue.string(String(tag.dropFirst(kind.count + 1)))
        // A tag alone stands before an empty text.
        let inner = value == .string("") ? .null : try resolve(value, at: place)
        switch inner {
        case .null: return .object([HyperPyYAML.classKey: name])
        case .object(var members):
            members[HyperPyYAML.classKey] = name
            return .object(members)
        default:
            return .object([HyperPyYAML.classKey: name, "!arguments": inner])
        }
    }

    /// `<a[b][c]>` alone is the value itself; with more around it, arithmetic or text.
    private mutating func reference(_ text: String, at place: [String]) throws -> JSONValue {
        var pieces: [String] = []
        var values: [JSONValue] = []
        var rest = text[...]
        while let start = rest.firstIndex(of: "<") {
            guard let end = rest[start...].firstIndex(of: ">") else {
                throw malformed("the reference \"\(text)\" at \(shown(place)) has no '>'")
            }
            pieces.append(String(rest[..<start]))
            values.append(try follow(String(rest[rest.index(after: start)..<end]), at: place))
            rest = rest[rest.index(after: end)...]
        }
        pieces.append(String(rest))
        guard let first = values.first else {
            throw malformed("the reference \"\(text)\" at \(shown(place)) names no <key>")
        }
        if values.count == 1, pieces.allSatisfy({ $0.allSatisfy(\.isWhitespace) }) { return first }
        var composed = pieces[0]
        for (value, piece) in zip(values, pieces.dropFirst()) {
            switch value {
            case .integer(let number): composed += "\(number)"
            case .number(let number): composed += "\(number)"
            case .string(let text): composed += text
            default:
                throw malformed(
                    "the reference \"\(text)\" at \(shown(place)) puts \(value.summary) into text")
            }
            composed += piece
        }
        return Arithmetic.evaluate(composed) ?? .string(composed)
    }

    private mutating func follow(_ name: String, at place: [String]) throws -> JSONValue {
        let parts = name.split(separator: "[", omittingEmptySubsequences: false).map(String.init)
        let keys =
            [parts[0]] + parts.dropFirst().map { $0.hasSuffix("]") ? $0.dropLast() + "" : $0 }
        guard var value = members[keys[0]] else {
            throw malformed("<\(name)> at \(shown(place)) refers to nothing")
        }
        guard !open.contains(name) else {
            throw malformed(
                "the references \((open + [name]).map { "<\($0)>" }.joined(separator: " -> ")) go in "
                    + "a circle")
        }
        for key in keys.dropFirst() {
            while case .tagged(let tag, let inner) = value, tag != "!ref", tag != "!copy" {
                value = inner
            }
            switch value {
            case .mapping(let members):
                guard let inner = members[key] else {
                    throw malformed("<\(name)> at \(shown(place)) refers to nothing")
                }
                value = inner
            case .sequence(let values):
                guard let index = Int(key), values.indices.contains(index) else {
                    throw malformed("<\(name)> at \(shown(place)) refers to nothing")
                }
                value = values[index]
            default: throw malformed("<\(name)> at \(shown(place)) refers to nothing")
            }
        }
        open.append(name)
        defer { open.removeLast() }
        return try resolve(value, at: place)
    }

    private func shown(_ place: [String]) -> String { place.joined(separator: ".") }
}

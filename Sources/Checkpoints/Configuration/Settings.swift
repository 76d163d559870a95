// Typed access to a configuration's values: every reader gets a default for what the file leaves out and
// bounds for what it says, and throws the key, the value and what is accepted.

/// One mapping of a configuration file.
package struct Settings {
    /// The file, for messages.
    let path: String
    /// The way to this mapping, such as `flow.decoder`.
    let place: String
    let members: [String: JSONValue]

    /// A mapping from a file; `place` is empty at the top.
    package init(path: String, place: String = "", _ members: [String: JSONValue]) {
        self.path = path
        self.place = place
        self.members = members
    }

    /// A JSON file's object.
    package init(jsonFile path: String) throws {
        let value = try JSONValue(contentsOf: path)
        guard let members = value.members else {
            throw CheckpointError.malformed(
                path: path, format: "JSON", reason: "it holds \(value.summary), not an object")
        }
        self.init(path: path, members)
    }

    /// Whether the key is there with a value other than null.
    package func has(_ key: String) -> Bool { value(key) != nil }

    /// The key's value; null counts as absent.
    package func value(_ key: String) -> JSONValue? {
        members[key].flatMap { $0 == .null ? nil : $0 }
    }

    /// An error about one key.
    package func invalid(_ key: String, _ value: JSONValue, accepted: String) -> CheckpointError {
        .invalidSetting(
            path: path, key: place.isEmpty ? key : "\(place).\(key)", value: value.summary,
            accepted: accepted)
    }

    /// An integer inside bounds; a whole number written as a fraction counts.
    package func integer(
        _ key: String, default fallback: Int, in range: ClosedRange<Int>
    ) throws -> Int {
        let value = value(key) ?? .integer(fallback)
        guard let number = Self.integer(value), range.contains(number) else {
            throw invalid(
                key, value, accepted: "an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A finite number inside bounds.
    package func number(
        _ key: String, default fallback: Double, in range: ClosedRange<Double>
    ) throws -> Double {
        let value = value(key) ?? .number(fallback)
        guard let number = Self.number(value), range.contains(number) else {
            throw invalid(
                key, value, accepted: "a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A truth value.
    package func bool(_ key: String, default fallback: Bool) throws -> Bool {
        guard let value = value(key) else { return fallback }
        guard case .bool(let flag) = value else {
            throw invalid(key, value, accepted: "true or false")
        }
        return flag
    }

    /// Text.
    package func text(_ key: String, default fallback: String) throws -> String {
        guard let value = value(key) else { return fallback }
        guard let text = value.text else { throw invalid(key, value, accepted: "text") }
        return text
    }

    /// One of a few words.
    package func word(
        _ key: String, default fallback: String, accepted: [String]
    ) throws -> String {
        guard let value = value(key) else { return fallback }
        guard let text = value.text, accepted.contains(text) else {
            throw invalid(key, value, accepted: accepted.joined(separator: ", "))
        }
        return text
    }

    /// A flag that must have one value, because the other is not built.
    package func require(_ key: String, _ needed: Bool, default fallback: Bool) throws {
        guard try bool(key, default: fallback) == needed else {
            throw invalid(key, .bool(!needed), accepted: "\(needed)")
        }
    }

    /// A list of integers inside bounds, of a length inside bounds.
    package func integers(
        _ key: String, default fallback: [Int], in range: ClosedRange<Int>,
        count: ClosedRange<Int>
    ) throws -> [Int] {
        guard let value = value(key) else { return fallback }
        let numbers = value.elements?.compactMap(Self.integer)
        guard let numbers, numbers.count == value.elements?.count, count.contains(numbers.count),
            numbers.allSatisfy(range.contains)
        else {
            throw invalid(
                key, value,
                accepted: "\(count.lowerBound) to \(count.upperBound) integers from "
                    + "\(range.lowerBound) to \(range.upperBound)")
        }
        return numbers
    }

    /// A list of lists of integers.
    package func integerLists(
        _ key: String, default fallback: [[Int]], in range: ClosedRange<Int>,
        count: ClosedRange<Int>
    ) throws -> [[Int]] {
        guard let value = value(key) else { return fallback }
        let lists = value.elements?.compactMap { list -> [Int]? in
            let numbers = list.elements?.compactMap(Self.integer)
            guard let numbers, numbers.count == list.elements?.count, !numbers.isEmpty,
                count.contains(numbers.count), numbers.allSatisfy(range.contains)
            else { return nil }
            return numbers
        }
        guard let lists, lists.count == value.elements?.count, count.contains(lists.count) else {
            throw invalid(
                key, value,
                accepted: "lists of integers from \(range.lowerBound) to \(range.upperBound)")
        }
        return lists
    }

    /// A mapping inside this one; an absent one is empty.
    package func section(_ key: String) throws -> Settings {
        let inner = place.isEmpty ? key : "\(place).\(key)"
        guard let value = value(key) else { return Settings(path: path, place: inner, [:]) }
        guard let members = value.members else {
            throw invalid(key, value, accepted: "a mapping")
        }
        return Settings(path: path, place: inner, members)
    }

    /// The last word of the class that a resolved HyperPyYAML object names, nil for none.
    package var className: String? {
        members[HyperPyYAML.classKey]?.text.map { text in
            text.split(separator: ".").last.map { String($0) } ?? text
        }
    }

    /// Throws unless the object's class, where it names one, is one of these.
    package func requireClass(_ accepted: [String]) throws {
        guard let className, !accepted.contains(className) else { return }
        throw CheckpointError.invalidSetting(
            path: path, key: "the class of \(place)", value: className,
            accepted: accepted.joined(separator: ", "))
    }

    static func integer(_ value: JSONValue) -> Int? {
        switch value {
        case .integer(let number): number
        case .number(let number): Int(exactly: number)
        default: nil
        }
    }

    static func number(_ value: JSONValue) -> Double? {
        switch value {
        case .integer(let number): Double(number)
        case .number(let number) where number.isFinite: number
        default: nil
        }
    }
}

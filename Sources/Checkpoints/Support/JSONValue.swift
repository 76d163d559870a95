// A strict JSON reader (RFC 8259) for headers and configurations that come from files: depth is limited,
// a key may stand only once in an object, integers stay exact.

/// A JSON value.
package indirect enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number without fraction or exponent that fits an Int.
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// Reads a whole text; throws what is wrong and at which byte.
    package init(parsing bytes: some Sequence<UInt8>) throws(JSONParseError) {
        var parser = JSONParser(bytes: Array(bytes))
        self = try parser.parseDocument()
    }

    /// A file's value; `format` names what the file should be in messages.
    package init(contentsOf path: String, format: String = "JSON") throws(CheckpointError) {
        let text = try readText(path, format: format)
        do {
            self = try JSONValue(parsing: text.utf8)
        } catch {
            throw .malformed(path: path, format: format, reason: error.description)
        }
    }

    /// The members of an object.
    package var members: [String: JSONValue]? {
        if case .object(let members) = self { members } else { nil }
    }

    /// The elements of an array.
    package var elements: [JSONValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    /// The text of a string.
    package var text: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The value of an integer.
    package var exactInteger: Int? {
        if case .integer(let value) = self { value } else { nil }
    }

    /// How messages show it.
    package var summary: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let text): "\"\(text.prefix(60))\""
        case .array(let elements): "a list of \(elements.count)"
        case .object(let members): "an object of \(members.count) members"
        }
    }
}

/// Where and why a text is not JSON.
package struct JSONParseError: Error, Equatable, CustomStringConvertible {
    let reason: String
    let offset: Int

    package var description: String { "\(reason) at byte \(offset)" }
}

private struct JSONParser {
    static let maximumDepth = 64
    let bytes: [UInt8]
    var offset = 0
    var depth = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    func failure(_ reason: String) -> JSONParseError {
        JSONParseError(reason: reason, offset: offset)
    }

    var current: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            offset += 1
        }
    }

    mutating func parseDocument() throws(JSONParseError) -> JSONValue {
        skipSpace()
        let value = try parseValue()
        skipSpace()
        guard offset == bytes.count else { throw failure("text after the value") }
        return value
    }

    mutating func parseValue() throws(JSONParseError) -> JSONValue {
        guard let byte = current else { throw failure("the text ends early") }
        switch byte {
        case UInt8(ascii: "{"): return try parseObject()
        case UInt8(ascii: "["): return try parseArray()
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        default: return try parseNumber()
        }
    }

    mutating func parseWord(
        _ word: String, _ value: JSONValue
    ) throws(JSONParseError)
        -> JSONValue
    {
        guard bytes[offset...].starts(with: word.utf8) else {
            throw failure("an unknown word")
        }
        offset += word.utf8.count
        return value
    }

    mutating func enter() throws(JSONParseError) {
        depth += 1
        guard depth <= Self.maximumDepth else {
            throw failure("more than \(Self.maximumDepth) levels of nesting")
        }
        offset += 1
        skipSpace()
    }

    /// After an element: true when another follows, false when `closing` ended the container.
    mutating func another(before closing: Character) throws(JSONParseError) -> Bool {
        skipSpace()
        guard let byte = current else { throw failure("the text ends early") }
        guard byte == UInt8(ascii: ",") || byte == closing.asciiValue else {
            throw failure("neither ',' nor '\(closing)'")
        }
        offset += 1
        skipSpace()
        return byte == UInt8(ascii: ",")
    }

    mutating func parseObject() throws(JSONParseError) -> JSONValue {
        try enter()
        defer { depth -= 1 }
        var members: [String: JSONValue] = [:]
        if current == UInt8(ascii: "}") {
            offset += 1
            return .object(members)
        }
        repeat {
            guard current == UInt8(ascii: "\"") else { throw failure("a key without quotes") }
            let start = offset
            let key = try parseString()
            skipSpace()
            guard current == UInt8(ascii: ":") else { throw failure("no ':' after a key") }
            offset += 1
            skipSpace()
            let value = try parseValue()
            guard members.updateValue(value, forKey: key) == nil else {
                offset = start
                throw failure("the key \"\(key)\" stands twice")
            }
        } while try another(before: "}")
        return .object(members)
    }

    mutating func parseArray() throws(JSONParseError) -> JSONValue {
        try enter()
        defer { depth -= 1 }
        var elements: [JSONValue] = []
        if current == UInt8(ascii: "]") {
            offset += 1
            return .array(elements)
        }
        repeat {
            elements.append(try parseValue())
        } while try another(before: "]")
        return .array(elements)
    }

    mutating func parseNumber() throws(JSONParseError) -> JSONValue {
        let start = offset
        var isInteger = true
        if current == UInt8(ascii: "-") { offset += 1 }
        let whole = skipDigits()
        guard whole > 0, whole == 1 || bytes[offset - whole] != UInt8(ascii: "0") else {
            offset = start
            throw failure("not a value")
        }
        if current == UInt8(ascii: ".") {
            isInteger = false
            offset += 1
            guard skipDigits() > 0 else { throw failure("a number without digits after '.'") }
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            isInteger = false
            offset += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { offset += 1 }
            guard skipDigits() > 0 else { throw failure("a number without exponent digits") }
        }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        if isInteger, let value = Int(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else {
            offset = start
            throw failure("a number beyond double precision")
        }
        return .number(value)
    }

    mutating func skipDigits() -> Int {
        let start = offset
        while let byte = current, (0x30...0x39).contains(byte) { offset += 1 }
        return offset - start
    }

    mutating func parseString() throws(JSONParseError) -> String {
        offset += 1
        var result: [UInt8] = []
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                guard let text = String(validating: result, as: UTF8.self) else {
                    throw failure("a string that is not valid UTF-8")
                }
                return text
            case UInt8(ascii: "\\"):
                offset += 1
                try parseEscape(into: &result)
            case 0..<0x20:
                throw failure("a control character in a string")
            default:
                result.append(byte)
                offset += 1
            }
        }
        throw failure("the text ends early")
    }

    mutating func parseEscape(into result: inout [UInt8]) throws(JSONParseError) {
        guard let byte = current else { throw failure("the text ends early") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(byte)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0C)
        case UInt8(ascii: "n"): result.append(0x0A)
        case UInt8(ascii: "r"): result.append(0x0D)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "u"):
            var code = try parseHexadecimal()
            if (0xD800..<0xDC00).contains(code) {
                guard bytes[offset...].starts(with: "\\u".utf8) else {
                    throw failure("half a surrogate pair")
                }
                offset += 2
                let low = try parseHexadecimal()
                guard (0xDC00..<0xE000).contains(low) else {
                    throw failure("half a surrogate pair")
                }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
            result.append(contentsOf: String(Character(scalar)).utf8)
        default: throw failure("an unknown escape")
        }
    }

    mutating func parseHexadecimal() throws(JSONParseError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue
            else { throw failure("an unknown escape") }
            code = code << 4 | UInt32(digit)
            offset += 1
        }
        return code
    }
}

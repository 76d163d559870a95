// The keys that clients show, compared in a time that does not depend on how much of a key is right.

import Foundation

/// A set of API keys.
public struct APIKeys: Sendable {
    private let keys: [[UInt8]]

    /// Takes keys as they are.
    public init(_ keys: [String] = []) {
        self.keys = keys.map { Array($0.utf8) }
    }

    /// Reads a file of one key a line; empty lines and lines that start with # are skipped.
    public init(file path: String) throws(ServerError) {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw .keysUnreadable(path: path, reason: "the file cannot be read as UTF-8 text")
        }
        let lines = text.split(whereSeparator: \.isNewline)
            .map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty && !$0.hasPrefix("#") }
        guard !lines.isEmpty else {
            throw .keysUnreadable(
                path: path, reason: "there is no key in it; one a line is accepted")
        }
        if let short = lines.first(where: { $0.count < 8 }) {
            throw .keysUnreadable(
                path: path,
                reason: "a key has \(short.count) characters; at least 8 are accepted")
        }
        self.init(lines)
    }

    /// Whether nobody is asked for a key.
    public var isEmpty: Bool { keys.isEmpty }

    /// The keys of both.
    public func merging(_ other: APIKeys) -> APIKeys {
        APIKeys(keys: keys + other.keys)
    }

    private init(keys: [[UInt8]]) {
        self.keys = keys
    }

    /// The position of a key, nil for a wrong one; every key is compared to its end.
    package func index(of candidate: String) -> Int? {
        let seen = Array(candidate.utf8)
        var found = -1
        for (index, key) in keys.enumerated() {
            var difference = key.count ^ seen.count
            for position in 0..<max(key.count, seen.count) {
                let left = position < key.count ? key[position] : 0
                let right = position < seen.count ? seen[position] : 0
                difference |= Int(left ^ right)
            }
            found = difference == 0 ? index : found
        }
        return found < 0 ? nil : found
    }
}

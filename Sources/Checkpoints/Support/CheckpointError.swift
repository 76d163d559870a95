// What can go wrong with a model's files: the one error type of this module. Every description names
// the file, the value seen and what is accepted.

/// A file of a model bundle that cannot be used, and why.
public enum CheckpointError: Error, Equatable, CustomStringConvertible {
    /// The file or folder cannot be opened.
    case unreadable(path: String, reason: String)
    /// The bytes are not a sound file of this format.
    case malformed(path: String, format: String, reason: String)
    /// The file is sound but uses something that is not supported.
    case unsupported(path: String, what: String, accepted: String)
    /// A setting has a value that cannot be used.
    case invalidSetting(path: String, key: String, value: String, accepted: String)
    /// A graph has no node, or several, of a name that the network needs.
    case ambiguousNode(path: String, name: String, matches: [String])
    /// The tensors do not fit the network; every difference is listed.
    case weights(origin: String, problems: [WeightProblem])
    /// A part of a bundle is not there.
    case missingPart(part: String, lookedFor: [String])

    /// What was wrong, with the value seen and what is accepted.
    public var description: String {
        switch self {
        case .unreadable(let path, let reason):
            "cannot read \(path): \(reason)"
        case .malformed(let path, let format, let reason):
            "\(path) is not a sound \(format) file: \(reason)"
        case .unsupported(let path, let what, let accepted):
            "\(path): \(what) is not supported; accepted: \(accepted)"
        case .invalidSetting(let path, let key, let value, let accepted):
            "\(path): \(key) is \(value); accepted: \(accepted)"
        case .ambiguousNode(let path, let name, let matches):
            "\(path): \(matches.count) nodes end with \(name) "
                + "(\(matches.prefix(3).joined(separator: ", "))); exactly one is accepted"
        case .weights(let origin, let problems):
            Self.describe(problems, of: origin)
        case .missingPart(let part, let lookedFor):
            "the bundle has no \(part); looked for \(lookedFor.joined(separator: ", "))"
        }
    }

    private static func describe(_ problems: [WeightProblem], of origin: String) -> String {
        let lines = problems.map { "\n  \($0.description)" }.joined()
        let count = problems.count == 1 ? "1 tensor does" : "\(problems.count) tensors do"
        return "\(origin): \(count) not fit the network:\(lines)"
    }
}

/// One tensor that does not fit the network it was read for.
public enum WeightProblem: Error, Equatable, CustomStringConvertible {
    /// The network needs it and the file has none.
    case missing(name: String, shape: [Int])
    /// Its shape is another.
    case misshapen(name: String, shape: [Int], expected: [Int])
    /// It holds a value that is not a number, or infinite.
    case nonFinite(name: String, index: Int, value: String)
    /// The file has it and the network has no use for it.
    case unused(name: String, shape: [Int])
    /// Its element type cannot be used here.
    case unusable(name: String, reason: String)

    /// The tensor's name.
    public var name: String {
        switch self {
        case .missing(let name, _), .misshapen(let name, _, _), .nonFinite(let name, _, _),
            .unused(let name, _), .unusable(let name, _):
            name
        }
    }

    /// What was wrong, with the value seen and what is accepted.
    public var description: String {
        switch self {
        case .missing(let name, let shape):
            "missing: \(name) \(shape)"
        case .misshapen(let name, let shape, let expected):
            "misshapen: \(name) is \(shape), needed \(expected)"
        case .nonFinite(let name, let index, let value):
            "not finite: \(name) holds \(value) at \(index)"
        case .unused(let name, let shape):
            "unused: \(name) \(shape)"
        case .unusable(let name, let reason):
            "unusable: \(name) \(reason)"
        }
    }
}

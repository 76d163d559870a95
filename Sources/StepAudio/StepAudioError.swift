// The errors that users of the library and of the command see.

/// Why the controller could not do what it was asked.
public enum StepAudioError: Error, Equatable, CustomStringConvertible {
    /// A recording could not be loaded.
    case audioUnusable(source: String, reason: String)
    /// Weights or configuration of a part could not be loaded.
    case modelUnusable(part: String, reason: String)
    /// A part that the request needs is not in the bundle.
    case partMissing(part: String, lookedAt: [String])
    /// The weights do not fit into the memory that is free; nothing was allocated.
    case memoryTooSmall(needed: Int, available: Int, precision: String, fitting: String?)
    /// No speaker has this id.
    case unknownSpeaker(String, known: [String])
    /// The bundle and the user have no speaker at all.
    case noSpeakers(directory: String)
    /// A generation ended without a usable result.
    case generationFailed(stage: String, reason: String)
    /// A generation was cancelled.
    case cancelled(stage: String)
    /// The server of the chat model did not do its part.
    case serverFailed(String)
    /// Audio tokens that cannot be used.
    case tokensUnusable(String)
    /// A ratio or another option is out of range.
    case badOption(name: String, value: String, accepted: String)
    /// There is nothing to answer or to speak.
    case emptyInput(String)
    /// A conversation file could not be read.
    case conversationUnreadable(path: String, reason: String)
    /// A conversation file could not be written.
    case conversationUnwritable(path: String, reason: String)

    /// What was wrong, with the value seen and what is accepted.
    public var description: String {
        switch self {
        case .audioUnusable(let source, let reason): "cannot use the audio \(source): \(reason)"
        case .modelUnusable(let part, let reason): "cannot load \(part): \(reason)"
        case .partMissing(let part, let places):
            "\(part) is missing; looked for \(Self.grouped(places))"
        case .memoryTooSmall(let needed, let available, let precision, let fitting):
            "the weights need \(Self.megabytes(needed)) at \(precision), but only "
                + "\(Self.megabytes(available)) of memory are free; "
                + (fitting.map { "\($0) would fit" } ?? "no precision fits")
        case .unknownSpeaker(let id, let known):
            "there is no speaker '\(id)'; known speakers: \(known.joined(separator: ", "))"
        case .noSpeakers(let directory):
            "there are no speakers in \(directory); add one with `stepaudio voices add`"
        case .generationFailed(let stage, let reason): "\(stage) failed: \(reason)"
        case .cancelled(let stage): "\(stage) was cancelled"
        case .serverFailed(let reason): reason
        case .tokensUnusable(let reason): "cannot use the audio tokens: \(reason)"
        case .badOption(let name, let value, let accepted):
            "\(name) is \(value); accepted: \(accepted)"
        case .emptyInput(let what): "\(what) is empty"
        case .conversationUnreadable(let path, let reason):
            "cannot read the conversation \(path): \(reason)"
        case .conversationUnwritable(let path, let reason):
            "cannot write the conversation \(path): \(reason)"
        }
    }

    /// Paths by file name: `config.yaml in /a, /b; am.mvn in /a`.
    private static func grouped(_ paths: [String]) -> String {
        var names: [String] = []
        var folders: [String: [String]] = [:]
        for path in paths {
            let cut = path.lastIndex(of: "/")
            let name = String(cut.map { path[path.index(after: $0)...] } ?? path[...])
            if folders[name] == nil { names.append(name) }
            folders[name, default: []].append(String(cut.map { path[..<$0] } ?? "."))
        }
        return names.map { "\($0) in \(folders[$0, default: []].joined(separator: ", "))" }
            .joined(separator: "; ")
    }

    private static func megabytes(_ bytes: Int) -> String {
        let megabytes = Double(bytes) / 1e6
        return megabytes >= 10_000
            ? "\(Int((megabytes / 1000).rounded())) GB" : "\(Int(megabytes.rounded(.up))) MB"
    }
}

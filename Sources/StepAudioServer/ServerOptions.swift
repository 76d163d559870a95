// What a server may be told: where it listens, who may ask, how much it takes on, what it logs.

import Foundation
import Logging
import StepAudio

/// How a server runs.
public struct ServerOptions: Sendable {
    /// Address to listen on.
    public var host = "127.0.0.1"
    /// Port to listen on; 0 takes a free one.
    public var port = 8080
    /// Keys that clients must show; none lets everyone in.
    public var keys = APIKeys()
    /// Whether a server without keys may listen on other than loopback addresses.
    public var allowsUnauthenticated = false
    /// Origins of web pages that may use this server beside its own page; `*` is any.
    public var corsOrigins: [String] = []
    /// How much the server takes on.
    public var limits = ServerLimits()
    /// Lowest level that is logged.
    public var logLevel = Logger.Level.info
    /// Whether a log line is a JSON object rather than words.
    public var logsJSON = false
    /// Whether texts of requests and answers are logged.
    public var logsContent = false
    /// Whether a client whose request is the same in everything gets its earlier answer again.
    ///
    /// The system's `answerCacheBytes` bounds them. Clients never share.
    public var keepsAnswers = false
    /// Where the users' voices are kept.
    public var userVoices = ModelLocations.userSpeakersDirectory

    /// The defaults.
    public init() {}

    /// Sets the lowest level that is logged; false when there is no such level.
    public mutating func setLogLevel(_ name: String) -> Bool {
        guard let level = Logger.Level(rawValue: name) else { return false }
        logLevel = level
        return true
    }

    /// Whether only this machine can reach the server.
    var isLoopback: Bool {
        ["localhost", "::1", "[::1]"].contains(host) || host.hasPrefix("127.")
    }

    /// Refuses settings that would open the server by mistake or cannot work.
    public func validate() throws(ServerError) {
        guard (0...65535).contains(port) else {
            throw .badOption(name: "port", value: "\(port)", accepted: "0 to 65535")
        }
        guard !host.isEmpty else {
            throw .badOption(name: "host", value: "''", accepted: "an address or a host name")
        }
        if !isLoopback, keys.isEmpty, !allowsUnauthenticated {
            throw .open(host: host)
        }
        try limits.validate()
    }
}

/// How much a server takes on.
public struct ServerLimits: Sendable, Equatable {
    /// Largest request body, in bytes.
    public var bodyBytes = 25 << 20
    /// Longest recording in a request, in seconds.
    public var audioSeconds = 120.0
    /// Longest text in a request, in characters.
    public var textCharacters = 4096
    /// Requests that are worked on at the same time.
    public var parallel = 8
    /// Requests that may wait; one more is refused with 429.
    public var queue = 64
    /// Requests that one client may have at the same time; 0 does not limit it.
    public var perClient = 0
    /// Open connections; requests on more than that are refused with 503.
    public var connections = 512
    /// Realtime sessions at the same time.
    public var sessions = 32
    /// Longest time of a request, in seconds, waiting included.
    public var requestSeconds = 300.0
    /// Longest silence of a realtime client, in seconds.
    public var idleSeconds = 600.0
    /// Time that requests get to finish when the server is told to stop, in seconds.
    public var shutdownSeconds = 20.0

    /// The defaults.
    public init() {}

    func validate() throws(ServerError) {
        let counts = [
            ("max-body", bodyBytes, 1024...(1 << 31)),
            ("max-text", textCharacters, 1...1_000_000), ("parallel", parallel, 1...1024),
            ("queue", queue, 0...100_000), ("per-client", perClient, 0...100_000),
            ("connections", connections, 1...100_000), ("sessions", sessions, 0...10_000),
        ]
        for (name, value, accepted) in counts where !accepted.contains(value) {
            throw .badOption(
                name: name, value: "\(value)",
                accepted: "\(accepted.lowerBound) to \(accepted.upperBound)")
        }
        let times = [
            ("max-audio", audioSeconds), ("request-timeout", requestSeconds),
            ("idle-timeout", idleSeconds), ("shutdown-timeout", shutdownSeconds),
        ]
        for (name, value) in times where !(value > 0 && value <= 86_400) {
            throw .badOption(name: name, value: "\(value)", accepted: "above 0, to 86400 s")
        }
    }
}

/// Why a server cannot start.
public enum ServerError: Error, Equatable, CustomStringConvertible {
    /// The address is reachable from elsewhere and nobody would be asked for a key.
    case open(host: String)
    /// A setting is out of range.
    case badOption(name: String, value: String, accepted: String)
    /// The file of keys cannot be used.
    case keysUnreadable(path: String, reason: String)

    /// What was wrong, with the value seen and what is accepted.
    public var description: String {
        switch self {
        case .open(let host):
            "the host \(host) can be reached from other machines and no API key is set; "
                + "give --api-key-file or STEPAUDIO_API_KEY, or --allow-unauthenticated"
        case .badOption(let name, let value, let accepted):
            "\(name) is \(value); accepted: \(accepted)"
        case .keysUnreadable(let path, let reason): "cannot use the keys in \(path): \(reason)"
        }
    }
}

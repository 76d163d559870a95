// `stepaudio serve`: the system behind HTTP and WebSocket, with a page to talk to.

import ArgumentParser
import Foundation
import StepAudio
import StepAudioServer

/// Serves OpenAI's shapes and the web page.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve chat, speech and realtime talk in OpenAI's shapes, with a web page.",
        discussion: """
            Listens on this machine only unless --host says otherwise; another address needs an API \
            key (--api-key-file or STEPAUDIO_API_KEY) or --allow-unauthenticated. SIGTERM and SIGINT \
            let requests finish. Environment twins: STEPAUDIO_HOST, STEPAUDIO_PORT, \
            STEPAUDIO_MAX_BODY and so on.
            """)

    @OptionGroup var listening: ListeningSettings
    @OptionGroup var limits: LimitSettings
    @OptionGroup var caches: CacheSettings
    @OptionGroup var logging: LoggingSettings
    @OptionGroup var model: ModelSettings

    func run() async throws {
        let settings = try model.resolved()
        var options = ServerOptions()
        try listening.fill(&options)
        try limits.fill(&options.limits)
        try logging.fill(&options)
        let memory = try caches.resolved()
        options.keepsAnswers = memory.answerBytes > 0
        do {
            try options.validate()
        } catch {
            throw ValidationError("\(error)")
        }
        var systemOptions = StepAudio.Options(
            precision: settings.precision, userVoices: options.userVoices,
            chatServer: settings.chatServer, speechServer: settings.speechServer)
        systemOptions.answerCacheBytes = memory.answerBytes
        systemOptions.keyValueBytes = memory.keyValueBytes
        let system = StepAudio(locations: settings.locations, options: systemOptions)
        let server = try StepAudioServer(system: system, options: options)
        let host = options.host.contains(":") ? "[\(options.host)]" : options.host
        try await server.run { port in
            Console.print("listening on http://\(host):\(port)")
        }
    }
}

/// Where the server listens and whom it lets in.
struct ListeningSettings: ParsableArguments {
    @Option(help: "Address to listen on (default 127.0.0.1).")
    var host: String?

    @Option(help: "Port to listen on (default 8080; 0 takes a free one).")
    var port: Int?

    @Option(help: "File of API keys, one a line; STEPAUDIO_API_KEY holds one or more, by commas.")
    var apiKeyFile: String?

    @Flag(help: "Let everyone in who can reach the address.")
    var allowUnauthenticated = false

    @Option(help: "Origin of a web page that may use the server; may be repeated; '*' is any.")
    var corsOrigin: [String] = []

    func fill(_ options: inout ServerOptions) throws {
        options.host = host ?? Environment.value("HOST") ?? options.host
        options.port = try port ?? Environment.value("PORT", as: Int.self) ?? options.port
        options.allowsUnauthenticated =
            try allowUnauthenticated || Environment.flag("ALLOW_UNAUTHENTICATED")
        options.corsOrigins =
            corsOrigin.isEmpty ? Self.list(Environment.value("CORS_ORIGIN")) : corsOrigin
        options.keys = APIKeys(Self.list(Environment.value("API_KEY")))
        if let path = apiKeyFile ?? Environment.value("API_KEY_FILE") {
            options.keys = options.keys.merging(try APIKeys(file: path))
        }
    }

    private static func list(_ text: String?) -> [String] {
        (text ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    }
}

/// How much the server takes on.
struct LimitSettings: ParsableArguments {
    @Option(help: "Largest request body in bytes (default 26214400).")
    var maxBody: Int?

    @Option(help: "Longest recording in a request in seconds (default 120).")
    var maxAudio: Double?

    @Option(help: "Longest text in a request in characters (default 4096).")
    var maxText: Int?

    @Option(help: "Requests worked on at the same time (default 8).")
    var parallel: Int?

    @Option(help: "Requests that may wait; one more gets 429 (default 64).")
    var queue: Int?

    @Option(help: "Requests of one client at the same time; more get 429 (default 0: no limit).")
    var perClient: Int?

    @Option(help: "Open connections; requests on more get 503 (default 512).")
    var connections: Int?

    @Option(help: "Realtime sessions at the same time (default 32).")
    var sessions: Int?

    @Option(help: "Longest time of a request in seconds, waiting included (default 300).")
    var requestTimeout: Double?

    @Option(help: "Longest silence of a realtime client in seconds (default 600).")
    var idleTimeout: Double?

    @Option(help: "Seconds that requests get to finish at the end (default 20).")
    var shutdownTimeout: Double?

    func fill(_ limits: inout ServerLimits) throws {
        func count(_ value: Int?, _ twin: String, _ known: Int) throws -> Int {
            try value ?? Environment.value(twin, as: Int.self) ?? known
        }
        func time(_ value: Double?, _ twin: String, _ known: Double) throws -> Double {
            try value ?? Environment.value(twin, as: Double.self) ?? known
        }
        limits.bodyBytes = try count(maxBody, "MAX_BODY", limits.bodyBytes)
        limits.audioSeconds = try time(maxAudio, "MAX_AUDIO", limits.audioSeconds)
        limits.textCharacters = try count(maxText, "MAX_TEXT", limits.textCharacters)
        limits.parallel = try count(parallel, "PARALLEL", limits.parallel)
        limits.queue = try count(queue, "QUEUE", limits.queue)
        limits.perClient = try count(perClient, "PER_CLIENT", limits.perClient)
        limits.connections = try count(connections, "CONNECTIONS", limits.connections)
        limits.sessions = try count(sessions, "SESSIONS", limits.sessions)
        limits.requestSeconds = try time(
            requestTimeout, "REQUEST_TIMEOUT", limits.requestSeconds)
        limits.idleSeconds = try time(idleTimeout, "IDLE_TIMEOUT", limits.idleSeconds)
        limits.shutdownSeconds = try time(
            shutdownTimeout, "SHUTDOWN_TIMEOUT", limits.shutdownSeconds)
    }
}

/// How much the server keeps in memory between requests.
struct CacheSettings: ParsableArguments {
    @Option(
        help: """
            Megabytes of key-value pages for each language model, shared prefixes included (default \
            512).
            """)
    var keyValueCache: Int?

    @Option(
        help: """
            Megabytes of whole answers that a client gets again when it asks the same in everything, \
            seed included; never across API keys (default 0: off).
            """)
    var answerCache: Int?

    func resolved() throws -> (keyValueBytes: Int, answerBytes: Int) {
        func bytes(
            _ value: Int?, _ name: String, _ known: Int, _ accepted: ClosedRange<Int>
        ) throws -> Int {
            let twin = name.uppercased().replacing("-", with: "_")
            let megabytes = try value ?? Environment.value(twin, as: Int.self) ?? known
            guard accepted.contains(megabytes) else {
                throw ValidationError(
                    "\(name) is \(megabytes); accepted: \(accepted.lowerBound) to "
                        + "\(accepted.upperBound) megabytes")
            }
            return megabytes * 1_000_000
        }
        return (
            try bytes(keyValueCache, "key-value-cache", 512, 16...1_000_000),
            try bytes(answerCache, "answer-cache", 0, 0...1_000_000)
        )
    }
}

/// What the server writes to standard error.
struct LoggingSettings: ParsableArguments {
    @Option(help: "Lowest level that is logged: debug, info, notice, warning or error.")
    var logLevel: String?

    @Option(help: "Form of log lines: text or json.")
    var logFormat: String?

    @Flag(help: "Log what users and models say; off by default.")
    var logContent = false

    func fill(_ options: inout ServerOptions) throws {
        let level = logLevel ?? Environment.value("LOG_LEVEL") ?? "info"
        guard options.setLogLevel(level) else {
            throw ValidationError(
                "log-level is '\(level)'; accepted: debug, info, notice, warning, error")
        }
        switch logFormat ?? Environment.value("LOG_FORMAT") ?? "text" {
        case "text": options.logsJSON = false
        case "json": options.logsJSON = true
        case let other: throw ValidationError("log-format is '\(other)'; accepted: text, json")
        }
        options.logsContent = try logContent || Environment.flag("LOG_CONTENT")
    }
}

// The server: its routes, and its life from the first request to the last.

import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle
import StepAudio

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// StepAudio behind HTTP and WebSocket.
public struct StepAudioServer: Sendable {
    let backend: Backend

    /// Prepares a server; nothing is loaded and nothing listens yet.
    public init(system: StepAudio, options: ServerOptions) throws {
        try options.validate()
        var logger = Logger(label: "stepaudio") { [options] _ in
            ServerLogHandler(level: options.logLevel, isJSON: options.logsJSON)
        }
        logger.logLevel = options.logLevel
        backend = Backend(system: system, options: options, logger: logger)
    }

    /// Serves until `shutdown` is asked for by cancelling the task; requests that are under way may
    /// finish first.
    ///
    /// `onListening` hears the port.
    public func run(onListening: @escaping @Sendable (Int) -> Void) async throws {
        // A client or a program that closes its end must not end this process.
        signal(SIGPIPE, SIG_IGN)
        let application = application(onListening: onListening)
        var configuration = ServiceGroupConfiguration(
            services: [application], logger: Self.quiet)
        configuration.maximumGracefulShutdownDuration = .seconds(
            backend.limits.shutdownSeconds)
        let group = ServiceGroup(configuration: configuration)
        let loading = Task { await load() }
        defer { loading.cancel() }
        let running = Task { try await group.run() }
        do {
            try await withTaskCancellationHandler {
                try await running.value
            } onCancel: {
                Task { await group.triggerGracefulShutdown() }
            }
        } catch is CancellationError {
            backend.logger.notice("stopped", metadata: ["unfinished": "cancelled"])
        }
    }

    /// The application, for tests of its routes.
    package func application(
        onListening: @escaping @Sendable (Int) -> Void = { _ in }
    ) -> Application<RouterResponder<ServerContext>> {
        let backend = backend
        return Application(
            responder: router().buildResponder(),
            server: HTTPServerBuilder { responder in
                ServerChannel(backend: backend, responder: responder)
            },
            configuration: ApplicationConfiguration(
                address: .hostname(backend.options.host, port: backend.options.port),
                serverName: "stepaudio/" + StepAudioVersion.current, backlog: 1024),
            onServerRunning: { channel in
                onListening(channel.localAddress?.port ?? backend.options.port)
            },
            logger: Self.quiet)
    }

    /// Reads the weights, so that the first request need not wait for them.
    package func load() async {
        let start = ContinuousClock.now
        do {
            try await backend.system.loadAll()
            backend.readiness.become(.ready)
            backend.logger.notice(
                "ready", metadata: ["seconds": "\(start.secondsUntilNow)"])
        } catch {
            backend.readiness.become(.failed("\(error)"))
            backend.logger.critical("loading failed", metadata: ["error": "\(error)"])
        }
    }

    /// The framework's own lines, which say nothing that ours do not.
    private static let quiet = Logger(label: "framework") { _ in SwiftLogNoOpLogHandler() }

    private func router() -> Router<ServerContext> {
        let router = Router(context: ServerContext.self)
        let backend = backend
        router.middlewares.add(RequestMeter(backend: backend))
        if !backend.options.corsOrigins.isEmpty {
            router.middlewares.add(CrossOrigin(origins: backend.options.corsOrigins))
        }
        router.middlewares.add(ErrorEnvelope())
        router.middlewares.add(Gate(backend: backend))
        router.post("/v1/chat/completions") { try await backend.chat($0, $1) }
        router.post("/v1/audio/speech") { try await backend.speech($0, $1) }
        router.get("/v1/audio/voices") { try await backend.listVoices($0, $1) }
        router.post("/v1/audio/voices") { try await backend.addVoice($0, $1) }
        router.delete("/v1/audio/voices/:id") { try await backend.removeVoice($0, $1) }
        router.post("/v1/audio/tokens") { try await backend.encodeTokens($0, $1) }
        router.post("/v1/audio/tokens/decode") { try await backend.decodeTokens($0, $1) }
        router.get("/v1/models") { try await backend.listModels($0, $1) }
        router.get("/v1/models/:id") { try await backend.showModel($0, $1) }
        router.get("/v1/realtime") { try await backend.refuseRealtime($0, $1) }
        router.get("/") { try await backend.page($0, $1) }
        router.get("/assets/:name") { try await backend.asset($0, $1) }
        router.get("/openapi.json") { try await backend.document($0, $1) }
        router.get("/health") { try await backend.health($0, $1) }
        router.get("/metrics") { try await backend.showMetrics($0, $1) }
        return router
    }
}

extension Backend {
    /// A request for the socket that did not become one: says why.
    func refuseRealtime(_ request: Request, _ context: ServerContext) async throws -> Response {
        try readiness.check()
        try checkSessions()
        throw APIError(
            status: .upgradeRequired, message: "this is a WebSocket; connect to it with ws://",
            type: "invalid_request_error", code: "upgrade_required")
    }
}

// What every request passes: its line in the log and in the metrics, errors as JSON, the limit of
// connections, the origin, the key.

import Foundation
import HTTPTypes
import Hummingbird
import Logging
import StepAudio
import Synchronization

/// Logs and measures requests, to their last byte.
struct RequestMeter: RouterMiddleware {
    let backend: Backend

    func handle(
        _ request: Request, context: ServerContext,
        next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        var response = try await next(request, context)
        response.headers[.requestID] = context.requestID
        let status = response.status.code
        let endpoint = context.endpointPath ?? "none"
        let method = request.method.rawValue
        let body = response.body
        let counted = ByteCount()
        response.body = ResponseBody(contentLength: body.contentLength) { writer in
            var outcome = "done"
            defer {
                backend.record(
                    RequestRecord(
                        id: context.requestID, method: method, endpoint: endpoint, status: status,
                        seconds: start.secondsUntilNow, bytes: counted.value, outcome: outcome))
            }
            do {
                try await body.write(CountingWriter(writer, counted))
            } catch {
                outcome = "broken off"
                throw error
            }
        }
        return response
    }
}

/// One line of the log.
struct RequestRecord: Sendable {
    var id: String
    var method: String
    var endpoint: String
    var status: Int
    var seconds: Double
    var bytes: Int
    var outcome: String
}

extension Backend {
    fileprivate func record(_ record: RequestRecord) {
        metrics.add(
            "stepaudio_requests_total", 1,
            [
                ("endpoint", record.endpoint), ("method", record.method),
                ("status", "\(record.status)"),
            ])
        metrics.observe(
            "stepaudio_request_seconds", record.seconds, [("endpoint", record.endpoint)])
        let quiet = ["/health", "/metrics"].contains(record.endpoint)
        logger.log(
            level: quiet ? .debug : .info, "request",
            metadata: [
                "request": "\(record.id)", "method": "\(record.method)",
                "endpoint": "\(record.endpoint)", "status": "\(record.status)",
                "milliseconds": "\(Int((record.seconds * 1000).rounded()))",
                "bytes": "\(record.bytes)", "outcome": "\(record.outcome)",
            ])
    }
}

/// Bytes that were written.
private final class ByteCount: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    func add(_ more: Int) { count.withLock { $0 += more } }
}

/// Counts what passes.
private struct CountingWriter: ResponseBodyWriter {
    private var inner: any ResponseBodyWriter
    private let count: ByteCount

    init(_ inner: any ResponseBodyWriter, _ count: ByteCount) {
        self.inner = inner
        self.count = count
    }

    mutating func write(_ buffer: ByteBuffer) async throws {
        count.add(buffer.readableBytes)
        try await inner.write(buffer)
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
        try await inner.finish(trailingHeaders)
    }
}

/// Turns every error into the JSON that clients expect.
struct ErrorEnvelope: RouterMiddleware {
    func handle(
        _ request: Request, context: ServerContext,
        next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            return try APIError(error).response(from: request, context: context)
        }
    }
}

/// Refuses what is over the limit of connections, foreign pages, and wrong keys.
struct Gate: RouterMiddleware {
    let backend: Backend
    /// Paths that need no key: they say nothing about anyone.
    private static let open: Set<String> = ["/", "/health", "/openapi.json"]

    func handle(
        _ request: Request, context: ServerContext,
        next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        let count = backend.connections.count
        guard count <= backend.limits.connections else {
            throw APIError.unavailable(
                "\(count) connections are open; accepted: \(backend.limits.connections)",
                code: "too_many_connections", retryAfter: 2)
        }
        try backend.checkOrigin(
            request.headers[.origin], host: request.head.authority ?? request.headers[.host])
        var context = context
        let path = request.uri.path
        if !Self.open.contains(path), !path.hasPrefix("/assets/"), request.method != .options {
            context.client = try backend.client(
                bearer: request.headers[.authorization], fallback: context.client)
        }
        return try await next(request, context)
    }
}

extension HTTPField.Name {
    fileprivate static let host = HTTPField.Name("Host") ?? .via
}

extension Backend {
    /// The client behind an `Authorization` field; throws when its key is none of the server's.
    func client(bearer field: String?, fallback: String) throws(APIError) -> String {
        guard !options.keys.isEmpty else { return fallback }
        func refuse(_ message: String) -> APIError {
            APIError(
                status: .unauthorized, message: message, type: "authentication_error",
                code: "invalid_api_key")
        }
        guard let field, field.lowercased().hasPrefix("bearer ") else {
            throw refuse("an API key is needed: Authorization: Bearer KEY")
        }
        let key = field.dropFirst("bearer ".count).trimmingCharacters(in: .whitespaces)
        guard let index = options.keys.index(of: key) else { throw refuse("the API key is wrong") }
        return "key-\(index)"
    }

    /// Refuses pages of other sites, and, on a loopback server, host names that are not its own: a
    /// site could give its name this address.
    func checkOrigin(_ origin: String?, host: String?) throws(APIError) {
        let forbidden = { (message: String) in
            APIError(
                status: .forbidden, message: message, type: "invalid_request_error",
                code: "origin_not_allowed")
        }
        if options.isLoopback, options.keys.isEmpty, let host {
            let name =
                host.hasPrefix("[")
                ? String(host.prefix { $0 != "]" }) + "]" : String(host.prefix { $0 != ":" })
            guard ["localhost", "127.0.0.1", "[::1]", options.host].contains(name) else {
                throw forbidden("this server does not answer for the host '\(name)'")
            }
        }
        guard let origin, !options.corsOrigins.contains("*"),
            !options.corsOrigins.contains(origin)
        else { return }
        let own = origin.split(separator: "/", maxSplits: 1).last.map {
            $0.drop { $0 == "/" }
        }
        guard let host, let own, own == host else {
            throw forbidden("pages of \(origin) may not use this server; see --cors-origin")
        }
    }
}

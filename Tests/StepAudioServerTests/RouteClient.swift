// Asks the server's routes without a socket: requests go straight to the responder.

import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOEmbedded
import StepAudio
import Synchronization

import StepAudioServer

/// What a route answered.
struct RouteReply {
    let status: Int
    let headers: HTTPFields
    let body: Data
    let trailers: HTTPFields?

    var text: String { String(decoding: body, as: UTF8.self) }

    func json<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try JSON.decode(type, from: body)
    }

    /// The error's fields.
    var error: APIError.Body.Detail? { try? json(APIError.Body.self).error }

    /// The data of the server-sent events.
    var events: [String] {
        text.components(separatedBy: "\n\n").filter { $0.hasPrefix("data: ") }
            .map { String($0.dropFirst(6)) }
    }
}

/// A server whose routes are asked one by one.
struct RouteClient {
    static let bundle =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path + "/Models/pocket"
    /// One system that the tests share, so that its weights are read once.
    static let system = StepAudio(
        locations: ModelLocations(models: bundle),
        options: StepAudio.Options(userVoices: "/nowhere"))

    let server: StepAudioServer
    private let responder: RouterResponder<ServerContext>

    init(loads: Bool = true, _ change: (inout ServerOptions) -> Void = { _ in }) async throws {
        var options = ServerOptions()
        options.userVoices =
            FileManager.default.temporaryDirectory.path + "/stepaudio-voices-\(UUID().uuidString)"
        options.logLevel = .critical
        change(&options)
        server = try StepAudioServer(system: Self.system, options: options)
        responder = server.application().responder
        if loads { await server.load() }
    }

    func ask(
        _ method: HTTPRequest.Method, _ path: String, headers: HTTPFields = [:],
        body: Data = Data()
    ) async throws -> RouteReply {
        let channel = EmbeddedChannel()
        let request = Request(
            head: HTTPRequest(
                method: method, scheme: "http", authority: "localhost", path: path,
                headerFields: headers), body: RequestBody(buffer: ByteBuffer(data: body)))
        let context = ServerContext(
            source: ApplicationRequestContextSource(
                channel: channel, logger: Logger(label: "test")))
        let response = try await responder.respond(to: request, context: context)
        let sink = Collector()
        try await response.body.write(sink)
        return RouteReply(
            status: response.status.code, headers: response.headers, body: sink.data,
            trailers: sink.trailers)
    }

    func post(_ path: String, _ json: String) async throws -> RouteReply {
        try await ask(
            .post, path, headers: [.contentType: "application/json"], body: Data(json.utf8))
    }
}

/// Keeps what a body writes.
private final class Collector: ResponseBodyWriter, Sendable {
    private let state = Mutex((data: Data(), trailers: HTTPFields?.none))

    var data: Data { state.withLock { $0.data } }
    var trailers: HTTPFields? { state.withLock { $0.trailers } }

    func write(_ buffer: ByteBuffer) async throws {
        state.withLock { $0.data.append(Data(buffer: buffer)) }
    }

    func finish(_ trailingHeaders: HTTPFields?) async throws {
        state.withLock { $0.trailers = trailingHeaders }
    }
}

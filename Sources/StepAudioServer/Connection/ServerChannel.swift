// A connection: HTTP/1.1, or, when its first request asks for it, the WebSocket of /v1/realtime. NIO's
// typed upgrader decides before Hummingbird sees the request.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOWebSocket
import ServiceLifecycle

/// Sets connections up and serves them.
struct ServerChannel: ServerChildChannel, HTTPChannelHandler {
    typealias WebSocket = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>

    /// What a connection became.
    enum Outcome: Sendable {
        case http(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>)
        case realtime(WebSocket, RealtimeRequest)
    }

    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let outcome: EventLoopFuture<Outcome>
    }

    let backend: Backend
    let responder: HTTPChannelHandler.Responder
    /// Seconds that a connection may be idle between requests.
    private static let idle = Duration.seconds(75)

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        let watch = backend.connections.add(channel)
        return channel.eventLoop.makeCompletedFuture {
            let configuration = NIOTypedHTTPServerUpgradeConfiguration(
                upgraders: [upgrader]
            ) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
                    try pipeline.addHandler(
                        HTTPConnectionStateHandler(idleTimeout: Self.idle, logger: logger))
                    try pipeline.addHandler(HangUpHandler(watch))
                    return .http(
                        try NIOAsyncChannel(
                            wrappingChannelSynchronously: channel,
                            configuration: .init(isOutboundHalfClosureEnabled: true)))
                }
            }
            var pipeline = NIOUpgradableHTTPServerPipelineConfiguration(
                upgradeConfiguration: configuration)
            pipeline.enablePipelining = false
            pipeline.enableErrorHandling = false
            pipeline.enableResponseHeaderValidation = false
            let operations = channel.pipeline.syncOperations
            let outcome = try operations.configureUpgradableHTTPServerPipeline(
                configuration: pipeline)
            let decider = try operations.handler(
                type: NIOTypedHTTPServerUpgradeHandler<Outcome>.self)
            try operations.addHandler(
                UpgradeFilter(backend: backend), position: .before(decider))
            return Value(channel: channel, outcome: outcome)
        }
    }

    func handle(value: Value, logger: Logger) async {
        do {
            switch try await value.outcome.get() {
            case .http(let channel):
                await handleHTTP(asyncChannel: channel, logger: logger)
            case .realtime(let channel, let request):
                await RealtimeConnection(channel, request, backend).run()
            }
        } catch {
            value.channel.close(promise: nil)
            logger.debug("connection failed", metadata: ["error": "\(error)"])
        }
    }

    /// Accepts /v1/realtime from those who may use it; for others the request goes on as HTTP and
    /// gets its error there.
    private var upgrader: NIOTypedWebSocketServerUpgrader<Outcome> {
        let frame = min(backend.limits.bodyBytes, 1 << 24)
        return NIOTypedWebSocketServerUpgrader(maxFrameSize: frame) { [backend] channel, head in
            let request = try? RealtimeRequest(head, channel, backend)
            return channel.eventLoop.makeSucceededFuture(request?.responseHeaders)
        } upgradePipelineHandler: { [backend] channel, head in
            channel.eventLoop.makeCompletedFuture {
                let request = try RealtimeRequest(head, channel, backend)
                try channel.pipeline.syncOperations.addHandler(
                    NIOWebSocketFrameAggregator(
                        minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 1024,
                        maxAccumulatedFrameSize: frame))
                return .realtime(
                    try NIOAsyncChannel(wrappingChannelSynchronously: channel), request)
            }
        }
    }
}

/// Takes the wish for an upgrade out of a first request that will not get one: NIO's upgrader would lose
/// the request's head otherwise, and clients that offer other protocols would get no answer.
private final class UpgradeFilter: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    private let backend: Backend

    init(backend: Backend) {
        self.backend = backend
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = unwrapInboundIn(data) else {
            context.fireChannelRead(data)
            return
        }
        if head.headers.contains(name: "Upgrade"), !isAccepted(head, context.channel) {
            head.headers.remove(name: "Upgrade")
        }
        context.fireChannelRead(wrapInboundOut(.head(head)))
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func isAccepted(_ head: HTTPRequestHead, _ channel: any Channel) -> Bool {
        head.method == .GET
            && head.headers[canonicalForm: "Upgrade"].contains { $0.lowercased() == "websocket" }
            && head.headers.contains(name: "Sec-WebSocket-Key")
            && head.headers.first(name: "Sec-WebSocket-Version") == "13"
            && (try? RealtimeRequest(head, channel, backend)) != nil
    }
}

/// A request for a realtime session that was let in.
struct RealtimeRequest: Sendable {
    let client: String
    let model: String?
    let responseHeaders: HTTPHeaders

    /// Throws what the client is to be told when it may not have a session.
    init(_ head: HTTPRequestHead, _ channel: any Channel, _ backend: Backend) throws {
        let parts = head.uri.split(separator: "?", maxSplits: 1).map(String.init)
        guard parts.first == "/v1/realtime" else {
            throw APIError.notFound("not found", code: "not_found")
        }
        try backend.readiness.check()
        try backend.checkSessions()
        try backend.checkOrigin(
            head.headers.first(name: "Origin"), host: head.headers.first(name: "Host"))
        let protocols = head.headers[canonicalForm: "Sec-WebSocket-Protocol"].map(String.init)
        let prefix = "openai-insecure-api-key."
        let key = protocols.first { $0.hasPrefix(prefix) }?.dropFirst(prefix.count)
        client = try backend.client(
            bearer: head.headers.first(name: "Authorization") ?? key.map { "Bearer " + $0 },
            fallback: channel.remoteAddress?.ipAddress ?? "local")
        model =
            parts.count > 1
            ? parts[1].split(separator: "&").first { $0.hasPrefix("model=") }
                .map { String($0.dropFirst("model=".count)) } : nil
        responseHeaders =
            protocols.contains("realtime") ? ["Sec-WebSocket-Protocol": "realtime"] : [:]
    }
}

extension Backend {
    /// Throws when there are as many realtime sessions as there may be.
    func checkSessions() throws(APIError) {
        let open = sessions.withLock { $0 }
        guard open < limits.sessions else {
            throw .unavailable(
                "\(open) realtime sessions are open; accepted: \(limits.sessions)",
                code: "too_many_sessions", retryAfter: 5)
        }
    }
}

// The socket of a realtime session: frames in, events out, pings, the end.

import Foundation
import NIOCore
import NIOWebSocket
import ServiceLifecycle
import Synchronization

/// Serves one socket until it closes.
struct RealtimeConnection: Sendable {
    private let channel: ServerChannel.WebSocket
    private let backend: Backend
    private let queue: EventQueue
    private let session: RealtimeSession
    private let lastHeard = Activity()

    /// When the client was last heard.
    private final class Activity: Sendable {
        private let instant = Mutex(ContinuousClock.now)
        var seconds: Double { instant.withLock { $0 }.secondsUntilNow }
        func touch() { instant.withLock { $0 = .now } }
    }

    init(_ channel: ServerChannel.WebSocket, _ request: RealtimeRequest, _ backend: Backend) {
        self.channel = channel
        self.backend = backend
        queue = EventQueue()
        session = RealtimeSession(backend, client: request.client, queue: queue)
    }

    func run() async {
        backend.sessions.withLock { $0 += 1 }
        backend.metrics.add("stepaudio_realtime_sessions_total")
        let start = ContinuousClock.now
        defer {
            backend.sessions.withLock { $0 -= 1 }
            backend.logger.info(
                "realtime session ended",
                metadata: [
                    "session": "\(session.id)", "seconds": "\(Int(start.secondsUntilNow))",
                ])
        }
        await withGracefulShutdownHandler {
            try? await channel.executeThenClose { inbound, outbound in
                await session.begin()
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { try? await read(inbound) }
                    group.addTask { try? await write(outbound) }
                    group.addTask { try? await keepAlive() }
                    // Whichever ends first, the reader or the writer, ends the rest.
                    await group.next()
                    queue.finish()
                    group.cancelAll()
                    channel.channel.close(promise: nil)
                }
            }
        } onGracefulShutdown: {
            close(.goingAway, "the server is stopping")
        }
        queue.finish()
        await session.end()
    }

    private func close(_ code: WebSocketErrorCode, _ reason: String) {
        _ = queue.append(.close(code: UInt16(webSocketErrorCode: code), reason: reason))
        queue.finish()
    }

    private func read(_ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>) async throws {
        for try await frame in inbound {
            lastHeard.touch()
            switch frame.opcode {
            case .text: await session.handle(Data(buffer: frame.unmaskedData))
            case .binary: await session.refuseBinary()
            case .ping: _ = queue.append(.pong(frame.unmaskedData))
            case .connectionClose:
                close(.normalClosure, "")
                // The writer sends the reply and then ends the session.
                try await Task.sleep(for: .seconds(2))
                return
            default: break
            }
        }
    }

    private func write(_ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>) async throws {
        while let entry = await queue.next() {
            switch entry {
            case .event(let data):
                try await outbound.write(
                    WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(data: data)))
            case .pong(let data):
                try await outbound.write(WebSocketFrame(fin: true, opcode: .pong, data: data))
            case .ping:
                try await outbound.write(
                    WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer()))
            case .close(let code, let reason):
                var data = ByteBuffer()
                data.writeInteger(code)
                data.writeString(reason)
                try await outbound.write(
                    WebSocketFrame(fin: true, opcode: .connectionClose, data: data))
                return
            }
        }
    }

    /// Pings, so that broken connections are noticed, and ends sessions that nobody uses.
    private func keepAlive() async throws {
        while true {
            try await Task.sleep(for: .seconds(20))
            if lastHeard.seconds > backend.limits.idleSeconds {
                close(.normalClosure, "nothing was heard for \(Int(backend.limits.idleSeconds)) s")
                try await Task.sleep(for: .seconds(5))
                return
            }
            _ = queue.append(.ping)
        }
    }
}

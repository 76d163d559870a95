// The open connections: how many there are, and who must hear when one of them ends, so that work for
// a client that has gone stops.

import NIOCore
import Synchronization

/// Knows every open connection.
final class ConnectionRegistry: Sendable {
    private let watches = Mutex<[ObjectIdentifier: ConnectionWatch]>([:])

    /// Number of open connections.
    var count: Int { watches.withLock { $0.count } }

    /// Watches a new connection until it closes.
    func add(_ channel: any Channel) -> ConnectionWatch {
        let watch = ConnectionWatch()
        let key = ObjectIdentifier(channel)
        watches.withLock { $0[key] = watch }
        channel.closeFuture.whenComplete { [self] _ in
            watches.withLock { $0[key] = nil }
            watch.end()
        }
        return watch
    }

    /// The watch of a connection; nil where there is no socket, as in tests of routes alone.
    func watch(of channel: any Channel) -> ConnectionWatch? {
        watches.withLock { $0[ObjectIdentifier(channel)] }
    }
}

/// Tells who asked that a client has gone.
final class ConnectionWatch: Sendable {
    private struct State {
        var actions: [Int: @Sendable () -> Void] = [:]
        var next = 0
        var hasEnded = false
    }

    private let state = Mutex(State())

    /// Calls `action` once when the client has gone, at once when it has already; the number takes
    /// it back.
    func onEnd(_ action: @escaping @Sendable () -> Void) -> Int {
        let (number, isLate) = state.withLock { state in
            state.next += 1
            if !state.hasEnded { state.actions[state.next] = action }
            return (state.next, state.hasEnded)
        }
        if isLate { action() }
        return number
    }

    func forget(_ number: Int) {
        state.withLock { _ = $0.actions.removeValue(forKey: number) }
    }

    /// The client has gone.
    func end() {
        let actions = state.withLock { state in
            state.hasEnded = true
            defer { state.actions = [:] }
            return Array(state.actions.values)
        }
        for action in actions { action() }
    }
}

/// Notices that a client closes its side: nobody will read the answer.
final class HangUpHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    private let watch: ConnectionWatch

    init(_ watch: ConnectionWatch) {
        self.watch = watch
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed = event as? ChannelEvent {
            watch.end()
        }
        context.fireUserInboundEventTriggered(event)
    }
}

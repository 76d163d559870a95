// Who is worked on and who waits: a bounded number of requests at the same time, a bounded queue in
// order of arrival, and a bound for each client.

import Synchronization

/// Gives out the places at the models.
package final class Admission: Sendable {
    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var running = 0
        var waiting: [Waiter] = []
        var cancelled: Set<UInt64> = []
        var clients: [String: Int] = [:]
        var nextID: UInt64 = 0
        var isClosed = false
    }

    private let limits: ServerLimits
    private let state = Mutex(State())

    package init(limits: ServerLimits) {
        self.limits = limits
    }

    /// Requests that are worked on, and that wait.
    package var load: (running: Int, waiting: Int) {
        state.withLock { ($0.running, $0.waiting.count) }
    }

    /// A place, after those who came before; throws when the queue is full or the server stops.
    package func enter(client: String) async throws -> Ticket {
        let id = try register(client)
        do {
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    admit(id, continuation)
                }
            } onCancel: {
                abandon(id)
            }
        } catch {
            forget(client, id)
            throw error
        }
        state.withLock { _ = $0.cancelled.remove(id) }
        return Ticket { [self] in leave(client) }
    }

    /// Refuses everyone from now on, those who wait too.
    package func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for waiter in waiting {
            waiter.continuation.resume(throwing: Self.stopping)
        }
    }

    private static let stopping = APIError.unavailable(
        "the server is stopping", code: "shutting_down", retryAfter: 10)

    private func register(_ client: String) throws -> UInt64 {
        try state.withLock { state in
            if state.isClosed { throw Self.stopping }
            let mine = state.clients[client, default: 0]
            if limits.perClient > 0, mine >= limits.perClient {
                throw APIError.busy(
                    "this client has \(mine) requests under way; accepted: \(limits.perClient)",
                    retryAfter: 1)
            }
            if state.running >= limits.parallel, state.waiting.count >= limits.queue {
                throw APIError.busy(
                    "\(state.running) requests are worked on and \(state.waiting.count) wait; "
                        + "no more are taken", retryAfter: 2)
            }
            state.clients[client, default: 0] += 1
            state.nextID += 1
            return state.nextID
        }
    }

    private func admit(_ id: UInt64, _ continuation: CheckedContinuation<Void, any Error>) {
        let outcome: Result<Void, any Error>? = state.withLock { state in
            if state.cancelled.remove(id) != nil { return .failure(CancellationError()) }
            if state.isClosed { return .failure(Self.stopping) }
            if state.running < limits.parallel {
                state.running += 1
                return .success(())
            }
            state.waiting.append(Waiter(id: id, continuation: continuation))
            return nil
        }
        if let outcome { continuation.resume(with: outcome) }
    }

    /// Takes a cancelled request out of the queue, or remembers that it must not enter it.
    private func abandon(_ id: UInt64) {
        let waiter = state.withLock { state -> Waiter? in
            guard let index = state.waiting.firstIndex(where: { $0.id == id }) else {
                state.cancelled.insert(id)
                return nil
            }
            return state.waiting.remove(at: index)
        }
        waiter?.continuation.resume(throwing: CancellationError())
    }

    private func forget(_ client: String, _ id: UInt64? = nil) {
        state.withLock { state in
            if let id { state.cancelled.remove(id) }
            let left = state.clients[client, default: 1] - 1
            state.clients[client] = left > 0 ? left : nil
        }
    }

    private func leave(_ client: String) {
        forget(client)
        let next = state.withLock { state -> Waiter? in
            guard !state.waiting.isEmpty else {
                state.running -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.continuation.resume()
    }
}

/// A place at the models; it is given back once, at the latest when the last owner is gone.
package final class Ticket: Sendable {
    private let action: Mutex<(@Sendable () -> Void)?>

    package init(_ action: @escaping @Sendable () -> Void) {
        self.action = Mutex(action)
    }

    deinit {
        leave()
    }

    package func leave() {
        let action = action.withLock { action in
            defer { action = nil }
            return action
        }
        action?()
    }
}

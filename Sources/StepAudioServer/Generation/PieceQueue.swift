// The bytes of a streamed answer between the task that makes them and the one that sends them.

import Hummingbird
import Synchronization

/// A queue with one producer and one consumer at a time.
final class PieceQueue: Sendable {
    private struct State {
        var pieces: [ByteBuffer] = []
        var end: Result<Void, any Error>?
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func append(_ piece: ByteBuffer) {
        wake { state in
            if state.end == nil { state.pieces.append(piece) }
        }
    }

    /// Ends the queue; only the first end counts.
    ///
    /// An error is met after the pieces before it, a
    /// cancellation at once.
    func finish(_ end: Result<Void, any Error>) {
        wake { state in
            guard state.end == nil else { return }
            state.end = end
            if case .failure(let error) = end, error is CancellationError { state.pieces = [] }
        }
    }

    /// Waits until there is a piece or the end; throws when the end is an error and nothing came
    /// before it.
    func ready() async throws {
        while true {
            let isReady = try state.withLock { state in
                if !state.pieces.isEmpty { return true }
                try state.end?.get()
                return state.end != nil
            }
            if isReady { return }
            await withCheckedContinuation { continuation in
                let isLate = state.withLock { state in
                    if !state.pieces.isEmpty || state.end != nil { return true }
                    state.waiter = continuation
                    return false
                }
                if isLate { continuation.resume() }
            }
        }
    }

    /// The next piece; nil at the end.
    func next() async throws -> ByteBuffer? {
        try await ready()
        return state.withLock { $0.pieces.isEmpty ? nil : $0.pieces.removeFirst() }
    }

    private func wake(_ change: (inout State) -> Void) {
        let waiter = state.withLock { state in
            change(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }
}

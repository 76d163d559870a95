// Ends a request's work early: its client has left, or its time is up.

import Foundation
import NIOCore
import Synchronization

/// Watches one request until it is told to end.
final class StopSignal: Sendable {
    private enum Reason { case left, late }

    private let reason = Mutex<Reason?>(nil)
    private let hasEnded = Mutex(false)
    private let watch: ConnectionWatch?
    private let number = Mutex(0)
    private let timer: Mutex<Task<Void, Never>?> = Mutex(nil)
    private let seconds: Double

    /// Calls `action` at most once.
    ///
    /// With `closesChannel` a late request's connection is closed, which
    /// also ends a write that its client does not read.
    init(
        _ backend: Backend, _ context: ServerContext, closesChannel: Bool = false,
        _ action: @escaping @Sendable () -> Void
    ) {
        seconds = backend.limits.requestSeconds
        watch = backend.connections.watch(of: context.channel)
        let stop: @Sendable (StopSignal, Reason) -> Void = { signal, cause in
            let isFirst = signal.reason.withLock { reason in
                defer { reason = reason ?? cause }
                return reason == nil
            }
            guard isFirst else { return }
            if cause == .left { backend.metrics.add("stepaudio_cancelled_total") }
            action()
        }
        let entry = watch?.onEnd { [weak self] in
            if let self { stop(self, .left) }
        }
        number.withLock { $0 = entry ?? 0 }
        let task = Task { [weak self, seconds, channel = context.channel] in
            guard (try? await Task.sleep(for: .seconds(seconds))) != nil, let self else { return }
            stop(self, .late)
            // What was made so far may go out; then the connection is closed.
            guard closesChannel, (try? await Task.sleep(for: .seconds(2))) != nil else { return }
            channel.close(promise: nil)
        }
        timer.withLock { $0 = task }
    }

    deinit {
        end()
    }

    /// The request is over.
    func end() {
        let isFirst = hasEnded.withLock { ended in
            defer { ended = true }
            return !ended
        }
        guard isFirst else { return }
        watch?.forget(number.withLock { $0 })
        timer.withLock { $0?.cancel() }
    }

    /// What to tell the client about an error: that its time was up, when that was the cause.
    func error(_ error: any Error) -> any Error {
        reason.withLock { $0 } == .late ? APIError.timedOut(seconds) : error
    }
}

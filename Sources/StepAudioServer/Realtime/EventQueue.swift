// Events on their way to a realtime client, in order. Sound that waits here can still be taken back;
// sound that has left is remembered with its time, so that what was heard can be told.

import Foundation
import NIOCore
import Synchronization

/// What is to be sent to one client.
final class EventQueue: Sendable {
    /// Something to send.
    enum Entry: Sendable {
        case event(Data)
        case pong(ByteBuffer)
        case ping
        case close(code: UInt16, reason: String)
    }

    /// What a client was sent of a response's sound.
    struct Playback: Sendable {
        var start: ContinuousClock.Instant
        var milliseconds: Double

        /// What the client can have played by now, at most what it was sent.
        var played: Int {
            Int(min(milliseconds, start.secondsUntilNow * 1000))
        }
    }

    private struct Waiting {
        var entry: Entry
        var response: String?
        var milliseconds = 0.0
    }

    private struct State {
        var entries: [Waiting] = []
        var bytes = 0
        var playbacks: [String: Playback] = [:]
        var isFinished = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())
    /// Bytes that may wait for a client that does not read.
    static let capacity = 32 << 20

    /// Adds an entry.
    ///
    /// `response` and `milliseconds` say whose sound it is. False when the client has left too much
    /// unread.
    func append(_ entry: Entry, response: String? = nil, milliseconds: Double = 0) -> Bool {
        let (fits, waiter) = state.withLock { state in
            guard !state.isFinished else { return (true, nil as CheckedContinuation<Void, Never>?) }
            state.entries.append(
                Waiting(entry: entry, response: response, milliseconds: milliseconds))
            if case .event(let data) = entry { state.bytes += data.count }
            defer { state.waiter = nil }
            return (state.bytes <= Self.capacity, state.waiter)
        }
        waiter?.resume()
        return fits
    }

    /// Takes back the sound of a response that has not left yet.
    func dropSound(of response: String) {
        state.withLock { state in
            state.entries.removeAll { $0.response == response }
            state.bytes = state.entries.reduce(0) { sum, waiting in
                if case .event(let data) = waiting.entry { sum + data.count } else { sum }
            }
        }
    }

    /// What the client was sent of a response's sound.
    func playback(of response: String) -> Playback? {
        state.withLock { $0.playbacks[response] }
    }

    /// Nothing is added any more; what waits is still sent.
    func finish() {
        let waiter = state.withLock { state in
            state.isFinished = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// The next entry, nil at the end.
    func next() async -> Entry? {
        while true {
            let (entry, isOver) = state.withLock { state -> (Entry?, Bool) in
                guard !state.entries.isEmpty else { return (nil, state.isFinished) }
                return (Self.take(&state), false)
            }
            if let entry { return entry }
            if isOver { return nil }
            await withCheckedContinuation { continuation in
                let isLate = state.withLock { state in
                    if !state.entries.isEmpty || state.isFinished { return true }
                    state.waiter = continuation
                    return false
                }
                if isLate { continuation.resume() }
            }
        }
    }

    private static func take(_ state: inout State) -> Entry {
        let waiting = state.entries.removeFirst()
        if case .event(let data) = waiting.entry { state.bytes -= data.count }
        if let response = waiting.response {
            var playback =
                state.playbacks[response] ?? Playback(start: .now, milliseconds: 0)
            playback.milliseconds += waiting.milliseconds
            state.playbacks = [response: playback]
        }
        return waiting.entry
    }
}

// Spoken answers that later requests may refer to by id, for an hour, each for its client only.

import Foundation
import Synchronization

/// Remembers what spoken answers said.
package final class AnswerMemory: Sendable {
    private struct Entry {
        var transcript: String
        var client: String
        var expires: Int
    }

    /// Seconds that an answer is remembered.
    package static let lifetime = 3600
    /// Number of answers that are remembered.
    package static let capacity = 4096

    private struct State {
        var entries: [String: Entry] = [:]
        var order: [String] = []
    }

    private let state = Mutex(State())

    package init() {}

    /// Remembers an answer; returns when it is forgotten, in seconds since 1970.
    package func keep(_ transcript: String, id: String, client: String) -> Int {
        let expires = Int(Date.now.timeIntervalSince1970) + Self.lifetime
        state.withLock { state in
            state.entries[id] = Entry(transcript: transcript, client: client, expires: expires)
            state.order.append(id)
            if state.order.count > Self.capacity {
                state.entries[state.order.removeFirst()] = nil
            }
        }
        return expires
    }

    /// What an answer said.
    package func transcript(of id: String, client: String) -> String? {
        let now = Int(Date.now.timeIntervalSince1970)
        return state.withLock { state in
            guard let entry = state.entries[id], entry.client == client, entry.expires > now else {
                return nil
            }
            return entry.transcript
        }
    }
}

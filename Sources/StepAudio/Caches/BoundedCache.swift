// A cache in memory: bounded in bytes, the least recently used goes first, hits are counted.

import LanguageModelInterface
import Synchronization

/// Keeps values by key.
package final class BoundedCache<Value: Sendable>: Sendable {
    private struct Entry {
        let value: Value
        let bytes: Int
        var lastUse: Int
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var clock = 0
        var statistics = CacheStatistics()
    }

    private let state: Mutex<State>

    /// A cache of at most `limit` bytes; none for 0.
    package init(limit: Int) {
        state = Mutex(State())
        state.withLock { $0.statistics.limitBytes = limit }
    }

    package var statistics: CacheStatistics { state.withLock { $0.statistics } }

    package func value(_ key: String) -> Value? {
        state.withLock { state in
            state.clock += 1
            guard let known = state.entries[key] else {
                state.statistics.misses += 1
                return nil
            }
            state.entries[key]?.lastUse = state.clock
            state.statistics.hits += 1
            return known.value
        }
    }

    /// Keeps a value; one that is larger than the whole cache is not kept.
    package func keep(_ value: Value, bytes: Int, for key: String) {
        state.withLock { state in
            guard bytes <= state.statistics.limitBytes else { return }
            state.clock += 1
            if let old = state.entries.removeValue(forKey: key) {
                state.statistics.bytes -= old.bytes
            }
            while state.statistics.bytes + bytes > state.statistics.limitBytes,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.entries.removeValue(forKey: oldest.key)
                state.statistics.bytes -= oldest.value.bytes
                state.statistics.evictions += 1
            }
            state.entries[key] = Entry(value: value, bytes: bytes, lastUse: state.clock)
            state.statistics.bytes += bytes
            state.statistics.entries = state.entries.count
        }
    }
}

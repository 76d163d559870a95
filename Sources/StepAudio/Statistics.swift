// Figures of a running system, for reports and for a server's metrics.

import LanguageModelInterface

/// What a system does now and has done so far.
public struct Statistics: Sendable, Equatable, Codable {
    /// The chat model's engine; nil when it is not loaded or runs on a server.
    public var chat: EngineStatistics?
    /// The speech language model's engine; nil when it is not loaded or runs on a server.
    public var speech: EngineStatistics?
    /// What speakers' recordings were turned into; kept in memory and on disk.
    public var speakers = CacheStatistics()
    /// Whole answers and speeches; off unless the options ask for it.
    public var answers = CacheStatistics()
    /// Calls that are being worked on.
    public var callsInFlight = 0
    /// Bytes of the weights that are loaded.
    public var weightBytes = 0
    /// Largest resident size of the process so far, where the system says it.
    public var peakBytes: Int?

    /// Nothing done yet.
    public init() {}
}

// Figures of a language-model engine that runs in this process.

/// What a cache holds and how often it helped.
public struct CacheStatistics: Sendable, Equatable, Codable {
    /// Things in the cache.
    public var entries = 0
    /// Bytes they take.
    public var bytes = 0
    /// Bytes the cache may take.
    public var limitBytes = 0
    /// Look-ups that found something.
    public var hits = 0
    /// Look-ups that found nothing.
    public var misses = 0
    /// Things that were thrown out to make room.
    public var evictions = 0

    /// An empty cache.
    public init() {}
}

/// What an engine does now and has done so far.
public struct EngineStatistics: Sendable, Equatable, Codable {
    /// Requests that generate now.
    public var running = 0
    /// Requests that wait for their turn or for memory.
    public var waiting = 0
    /// Requests that were in the largest step so far.
    public var largestBatch = 0
    /// Requests so far.
    public var requests = 0
    /// Token steps so far; each advances every running request by one token.
    public var steps = 0
    /// Prompt tokens so far.
    public var promptTokens = 0
    /// Prompt tokens that a shared prefix saved.
    public var reusedTokens = 0
    /// Tokens generated so far.
    public var generatedTokens = 0
    /// Times that a request had to give its memory to others and start again.
    public var preemptions = 0
    /// Prefixes kept for later prompts; entries are pages, hits and misses are requests.
    public var prefixes = CacheStatistics()
    /// Bytes of the key-value pages that are allocated.
    public var cacheBytes = 0

    /// Nothing done yet.
    public init() {}
}

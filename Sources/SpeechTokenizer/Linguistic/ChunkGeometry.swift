// The fixed chunking of Step-Audio's linguistic tokenizer: audio is cut into pieces of 240 ms, every
// piece is encoded with its left neighbours and no look-ahead.

/// How audio and frames are cut into chunks.
///
/// These numbers are part of the tokenizer's algorithm, not of a checkpoint: the model's own
/// configuration holds other chunk sizes, used for training only.
struct ChunkGeometry: Sendable, Equatable {
    /// Samples of one piece at 16 kHz (240 ms).
    let pieceSamples: Int
    /// Rows of the previous chunks that are encoded again in front of a chunk's own rows.
    let overlapRows: Int
    /// Rows before the overlap whose keys and values are kept.
    let cachedRows: Int

    /// Step-Audio's chunk size [0, 4, 5] with a look-back of 4 chunks.
    static let stepAudio = ChunkGeometry(pieceSamples: 3840, overlapRows: 5, cachedRows: 16)
}

/// Windows of consecutive chunks stacked below each other: each is the overlap rows, then the
/// chunk's own rows.
struct ChunkWindows: Sendable {
    /// One window in the stack.
    struct Window: Sendable {
        /// First row in the stack.
        let start: Int
        /// Rows in all.
        let rows: Int
        /// The chunk's own rows, the last ones of the window.
        ///
        /// As many first rows leave the window
        /// for the cache when the next chunk comes.
        let ownRows: Int
    }

    let windows: [Window]
    /// Rows of the whole stack.
    let rowCount: Int
    /// Rows of the longest window.
    let longest: Int

    /// Windows for chunks of these many own rows.
    init(ownRows: [Int], geometry: ChunkGeometry) {
        var windows: [Window] = []
        windows.reserveCapacity(ownRows.count)
        var start = 0
        for own in ownRows {
            let rows = geometry.overlapRows + own
            windows.append(Window(start: start, rows: rows, ownRows: own))
            start += rows
        }
        self.windows = windows
        rowCount = start
        longest = windows.reduce(0) { max($0, $1.rows) }
    }
}

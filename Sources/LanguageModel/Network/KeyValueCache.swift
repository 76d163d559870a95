// Keys and values of one sequence's past tokens: a table of pages, some of them shared with others.

import TensorCore

/// The cache of one sequence; used by one thread at a time.
public final class KeyValueCache {
    /// Tokens in the cache.
    public internal(set) var count = 0
    private(set) var pages: [KeyValuePage] = []
    private let pool: PagePool

    init(pool: PagePool) {
        self.pool = pool
    }

    /// Pages that `tokens` tokens need.
    static func pages(for tokens: Int) -> Int {
        (tokens + PageShape.tokens - 1) / PageShape.tokens
    }

    /// Makes room for `tokens` in all; false when the pool has no page left.
    func reserve(_ tokens: Int) -> Bool {
        while pages.count < Self.pages(for: tokens) {
            guard let page = pool.take() else { return false }
            pages.append(page)
        }
        return true
    }

    /// Starts with the tokens of whole shared pages and the first tokens of a further one, which is
    /// copied because this sequence goes on writing in it; false when the pool has no page left.
    func share(_ whole: [KeyValuePage], tail: (page: KeyValuePage, tokens: Int)?) -> Bool {
        pages = whole
        count = whole.count * PageShape.tokens
        guard let tail, tail.tokens > 0 else { return true }
        guard let own = pool.take() else { return false }
        own.copy(tail.page)
        pages.append(own)
        count += tail.tokens
        return true
    }

    /// Forgets all tokens.
    func clear() {
        pages = []
        count = 0
    }

    /// Writes rows of keys and values [rows, width] at a position, without counting them.
    func write(
        layer: Int, at position: Int, rows: Int, keys: UnsafePointer<Float>,
        values: UnsafePointer<Float>
    ) {
        let (width, tokens) = (pool.shape.width, PageShape.tokens)
        func write<Number>(_ rounded: (Float) -> Number) {
            for row in 0..<rows {
                let (page, place) = (position + row).quotientAndRemainder(dividingBy: tokens)
                let columns = pages[page].keys(layer).assumingMemoryBound(to: Number.self) + place
                let line =
                    pages[page].values(layer).assumingMemoryBound(to: Number.self) + place * width
                for index in 0..<width {
                    columns[index * tokens] = rounded(keys[row * width + index])
                    line[index] = rounded(values[row * width + index])
                }
            }
        }
        if pool.shape.precision == .bf16 {
            write(WeightMatrix.roundToBFloat16)
        } else {
            write { $0 }
        }
    }
}

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
        own.copy(tail.tokens, of: tail.page)
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
        let width = pool.shape.width
        var row = 0
        while row < rows {
            let (page, place) = (position + row).quotientAndRemainder(dividingBy: PageShape.tokens)
            let run = min(PageShape.tokens - place, rows - row)
            (pages[page].keys(layer) + place * width).update(
                from: keys + row * width, count: run * width)
            (pages[page].values(layer) + place * width).update(
                from: values + row * width, count: run * width)
            row += run
        }
    }
}

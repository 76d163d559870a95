// Memory for keys and values in pages of a fixed number of tokens. A page holds all layers of its tokens:
// for each layer the keys [tokens, width], then the values [tokens, width], fp32. Nothing about positions
// is in a page, but its place in a sequence decides which tokens it holds.

/// The sizes of a network's pages.
struct PageShape: Sendable, Equatable {
    /// Tokens of a page.
    static let tokens = 32

    let layers: Int
    /// Floats of one token's keys in one layer.
    let width: Int

    /// Floats of a page.
    var floats: Int { 2 * layers * Self.tokens * width }
    /// Bytes of a page.
    var bytes: Int { floats * 4 }
}

/// Keys and values of some tokens; whoever needs them holds the page, and the last one frees it.
final class KeyValuePage {
    private let base: UnsafeMutablePointer<Float>
    private let pool: PagePool

    fileprivate init(base: UnsafeMutablePointer<Float>, pool: PagePool) {
        self.base = base
        self.pool = pool
    }

    deinit { pool.takeBack(base) }

    private var layerFloats: Int { PageShape.tokens * pool.shape.width }

    func keys(_ layer: Int) -> UnsafeMutablePointer<Float> { base + 2 * layer * layerFloats }

    func values(_ layer: Int) -> UnsafeMutablePointer<Float> {
        base + (2 * layer + 1) * layerFloats
    }

    /// Takes over the first tokens of another page.
    func copy(_ tokens: Int, of other: KeyValuePage) {
        let count = tokens * pool.shape.width
        for layer in 0..<pool.shape.layers {
            keys(layer).update(from: other.keys(layer), count: count)
            values(layer).update(from: other.values(layer), count: count)
        }
    }
}

/// Gives out pages up to a limit; used by one thread.
final class PagePool {
    let shape: PageShape
    /// Pages that may be in use at once.
    let limit: Int
    /// Pages in use.
    private(set) var used = 0
    private var free: [UnsafeMutablePointer<Float>] = []

    init(shape: PageShape, limit: Int) {
        self.shape = shape
        self.limit = limit
    }

    deinit {
        for base in free {
            base.deallocate()
        }
    }

    /// Pages that are allocated, in use or not.
    var allocated: Int { used + free.count }

    /// A page with anything in it, or nil when the limit is reached.
    func take() -> KeyValuePage? {
        guard used < limit else { return nil }
        used += 1
        let base = free.popLast() ?? UnsafeMutablePointer<Float>.allocate(capacity: shape.floats)
        return KeyValuePage(base: base, pool: self)
    }

    fileprivate func takeBack(_ base: UnsafeMutablePointer<Float>) {
        used -= 1
        // A few pages stay for the next sequence; the rest goes back to the system.
        if free.count < 16 {
            free.append(base)
        } else {
            base.deallocate()
        }
    }
}

// Memory for keys and values in pages of a fixed number of tokens. A page holds all layers of its tokens:
// for each layer the keys [width, tokens], as the products with queries read them, then the values [tokens,
// width], in fp32 or bf16. Nothing about positions is in a page, but its place in a sequence decides which
// tokens it holds.

import TensorCore

/// The sizes of a network's pages.
struct PageShape: Sendable, Equatable {
    /// Tokens of a page.
    static let tokens = 32

    let layers: Int
    /// Numbers of one token's keys in one layer.
    let width: Int
    /// fp32 or bf16.
    let precision: WeightPrecision

    /// Bytes of one layer's keys, or of its values.
    var layerBytes: Int { precision.byteCount(outputs: Self.tokens, inputs: width) }
    /// Bytes of a page.
    var bytes: Int { 2 * layers * layerBytes }
}

/// Keys and values of some tokens; whoever needs them holds the page, and the last one frees it.
final class KeyValuePage {
    private let base: UnsafeMutableRawPointer
    private let pool: PagePool

    fileprivate init(base: UnsafeMutableRawPointer, pool: PagePool) {
        self.base = base
        self.pool = pool
    }

    deinit { pool.takeBack(base) }

    /// A layer's keys, [width, tokens].
    func keys(_ layer: Int) -> UnsafeMutableRawPointer {
        base + 2 * layer * pool.shape.layerBytes
    }

    /// A layer's values, [tokens, width].
    func values(_ layer: Int) -> UnsafeMutableRawPointer {
        base + (2 * layer + 1) * pool.shape.layerBytes
    }

    /// Takes over another page.
    func copy(_ other: KeyValuePage) {
        base.copyMemory(from: other.base, byteCount: pool.shape.bytes)
    }
}

/// Gives out pages up to a limit; used by one thread.
final class PagePool {
    let shape: PageShape
    /// Pages that may be in use at once.
    let limit: Int
    /// Pages in use.
    private(set) var used = 0
    private var free: [UnsafeMutableRawPointer] = []

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
        let base = free.popLast() ?? Self.cleared(shape.bytes)
        return KeyValuePage(base: base, pool: self)
    }

    /// Zeros: columns of keys past the last token are read, though their scores are not used.
    private static func cleared(_ bytes: Int) -> UnsafeMutableRawPointer {
        let base = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        return base
    }

    fileprivate func takeBack(_ base: UnsafeMutableRawPointer) {
        used -= 1
        // A few pages stay for the next sequence; the rest goes back to the system.
        if free.count < 16 {
            free.append(base)
        } else {
            base.deallocate()
        }
    }
}

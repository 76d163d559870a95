// Keys and values of past tokens, fp32, one growing block a layer. Nothing about positions is in
// them, so a prefix can be kept and the rest dropped by lowering the count.

import TensorCore

/// The cache of one sequence; used by one thread at a time.
public final class KeyValueCache {
    /// Tokens in the cache.
    public internal(set) var count = 0
    /// Floats of one token's keys in one layer.
    public let width: Int
    private let layers: Int
    private var capacity = 0
    private var blocks: [UnsafeMutablePointer<Float>]  // keys and values of each layer in turn

    init(layers: Int, width: Int) {
        self.layers = layers
        self.width = width
        blocks = []
    }

    deinit {
        for block in blocks {
            block.deallocate()
        }
    }

    /// Bytes that the cache occupies.
    public var byteCount: Int { 2 * layers * capacity * width * 4 }

    /// Keeps the first tokens and forgets the others.
    public func truncate(to count: Int) {
        precondition((0...self.count).contains(count), "\(count) of \(self.count) tokens")
        self.count = count
    }

    /// Makes room for `tokens`; grows by at least half, so that growing stays cheap.
    func reserve(_ tokens: Int) {
        guard tokens > capacity else { return }
        let larger = max(tokens, capacity + capacity / 2, 256)
        var fresh: [UnsafeMutablePointer<Float>] = []
        for index in 0..<2 * layers {
            let block = UnsafeMutablePointer<Float>.allocate(capacity: larger * width)
            if count > 0 {
                block.update(from: blocks[index], count: count * width)
            }
            fresh.append(block)
        }
        for block in blocks {
            block.deallocate()
        }
        blocks = fresh
        capacity = larger
    }

    func append(layer: Int, at position: Int, keys: borrowing Tensor, values: borrowing Tensor) {
        let offset = position * width
        keys.values.withUnsafeBufferPointer { source in
            if let base = source.baseAddress {
                (blocks[2 * layer] + offset).update(from: base, count: source.count)
            }
        }
        values.values.withUnsafeBufferPointer { source in
            if let base = source.baseAddress {
                (blocks[2 * layer + 1] + offset).update(from: base, count: source.count)
            }
        }
    }

    func keys(_ layer: Int) -> UnsafePointer<Float> { UnsafePointer(blocks[2 * layer]) }

    func values(_ layer: Int) -> UnsafePointer<Float> { UnsafePointer(blocks[2 * layer + 1]) }
}

// Self-attention with a feed-forward memory (SAN-M) over stacked chunk windows: each window's rows
// attend to the window and to cached rows before it; a depthwise filter over the values is added.
// Input [R, width of the layer] for R stacked rows, output [R, width]. Source: Gao et al., "SAN-M:
// Memory Equipped Self-Attention for End-to-End Speech Recognition" (2020).

import TensorCore

/// Keys and values of the rows before the next window, one row [key | value] each.
struct SANMCache: Sendable, Equatable {
    /// [rows, 2 width].
    var values: [Float] = []
    /// Number of rows.
    var rows = 0
    /// Whether a chunk has been seen; the first chunk's rows are all kept.
    var started = false
}

/// The attention part of an encoder layer.
struct SANMAttention: Sendable {
    let heads: Int
    /// Queries, keys and values in one product: [3 width, inputs].
    let projection: Linear
    /// [width, width].
    let output: Linear
    let memory: MemoryFilter
    let geometry: ChunkGeometry

    /// Attends within every window of the stack, windows in order; the cache moves on.
    func callAsFunction(
        _ x: Tensor, windows: ChunkWindows, cache: inout SANMCache
    ) -> Tensor {
        let mixed = projection(x)  // [R, query | key | value]
        let history = History(mixed: mixed, windows: windows, cache: cache, limit: cachedRows)
        var result = output(attend(mixed, windows: windows, history: history))
        memory.add(of: mixed, column: 2 * width, windows: windows, to: &result)
        cache = history.remainder(limit: cachedRows)
        return result
    }

    private var width: Int { output.weight.inputs }
    private var cachedRows: Int { geometry.cachedRows }

    /// Softmax attention: [R, 3 width] -> [R, width].
    private func attend(_ mixed: Tensor, windows: ChunkWindows, history: History) -> Tensor {
        let keyColumns = history.longest + windows.longest
        let block = windows.longest * keyColumns
        var scores = Tensor(zeros: [windows.windows.count * heads * windows.longest, keyColumns])
        var context = Tensor(zeros: [windows.rowCount, width])
        let products = WindowProducts(
            heads: heads, width: width, headWidth: width / heads, keyColumns: keyColumns,
            cacheColumns: history.longest)
        mixed.values.withUnsafeBufferPointer { mixedBuffer in
            history.values.withUnsafeBufferPointer { historyBuffer in
                guard let rows = mixedBuffer.baseAddress else { return }
                let cached = historyBuffer.baseAddress ?? rows
                let (rowsBase, cachedBase) = (SharedReadPointer(rows), SharedReadPointer(cached))
                func forEachWindow(
                    _ body: @Sendable (WindowProducts.Operands, Int) -> Void
                ) {
                    Parallel.forEach(windows.windows.count) { index in
                        let window = windows.windows[index]
                        let visible = history.visible[index]
                        let operands = WindowProducts.Operands(
                            rows: rowsBase.base + window.start * 3 * width, rowCount: window.rows,
                            cached: cachedBase.base + visible.lowerBound * 2 * width,
                            cachedCount: visible.count)
                        body(operands, index)
                    }
                }
                scores.values.withUnsafeMutableBufferPointer { buffer in
                    guard let base = buffer.baseAddress.map({ SharedPointer($0) }) else { return }
                    forEachWindow { operands, index in
                        for head in 0..<heads {
                            let target = base.base + (index * heads + head) * block
                            products.score(operands, head: head, into: target)
                        }
                    }
                }
                scores.applySoftmax()
                context.values.withUnsafeMutableBufferPointer { target in
                    scores.values.withUnsafeBufferPointer { weights in
                        guard let target = target.baseAddress.map({ SharedPointer($0) }),
                            let weights = weights.baseAddress.map({ SharedReadPointer($0) })
                        else { return }
                        forEachWindow { operands, index in
                            let first = windows.windows[index].start
                            for head in 0..<heads {
                                products.mix(
                                    operands, head: head,
                                    weights: weights.base + (index * heads + head) * block,
                                    into: target.base + first * width)
                            }
                        }
                    }
                }
            }
        }
        return context
    }
}

/// The cache followed by the rows that leave each window of the stack, and which of them each
/// window sees.
private struct History {
    /// [rows, key | value].
    private(set) var values: [Float]
    /// Rows that the window of this index attends to.
    private(set) var visible: [Range<Int>] = []
    /// Most rows any window sees, at least the limit, so that layouts do not depend on the split.
    let longest: Int
    private var rows: Int
    private var started: Bool
    private let columns: Int

    init(mixed: Tensor, windows: ChunkWindows, cache: SANMCache, limit: Int) {
        let width = mixed.columns / 3
        columns = 2 * width
        values = cache.values
        values.reserveCapacity(
            values.count + columns * windows.windows.reduce(0) { $0 + $1.ownRows })
        rows = cache.rows
        started = cache.started
        var kept = rows
        for window in windows.windows {
            visible.append(rows - kept..<rows)
            for row in window.start..<window.start + window.ownRows {
                let start = row * mixed.columns
                values += mixed.values[start + width..<start + mixed.columns]
            }
            rows += window.ownRows
            kept = started ? min(limit, kept + window.ownRows) : window.ownRows
            started = true
        }
        longest = visible.reduce(limit) { max($0, $1.count) }
        keptAtEnd = kept
    }

    private let keptAtEnd: Int

    /// The rows that the next window will see.
    func remainder(limit: Int) -> SANMCache {
        SANMCache(
            values: Array(values[(rows - keptAtEnd) * columns..<rows * columns]), rows: keptAtEnd,
            started: started)
    }
}

/// The small products of one window and head, on raw pointers.
private struct WindowProducts: Sendable {
    let heads: Int
    let width: Int
    let headWidth: Int
    /// Columns of a score row: cached keys, right-aligned, then the window's own.
    let keyColumns: Int
    let cacheColumns: Int

    struct Operands {
        /// [rowCount, query | key | value].
        let rows: UnsafePointer<Float>
        let rowCount: Int
        /// [cachedCount, key | value].
        let cached: UnsafePointer<Float>
        let cachedCount: Int
    }

    /// Scaled scores [rowCount, keyColumns]; columns without a key get minus infinity.
    func score(_ window: Operands, head: Int, into scores: UnsafeMutablePointer<Float>) {
        let scale = 1 / Float(headWidth).squareRoot()
        let query = window.rows + head * headWidth
        let unused = cacheColumns - window.cachedCount
        if window.cachedCount > 0 {
            MatrixProduct.multiply(
                m: window.rowCount, n: window.cachedCount, k: headWidth, a: query,
                aStride: 3 * width, b: window.cached + head * headWidth, bStride: 2 * width,
                bLayout: .outputsByInputs, c: scores + unused, cStride: keyColumns, alpha: scale)
        }
        MatrixProduct.multiply(
            m: window.rowCount, n: window.rowCount, k: headWidth, a: query, aStride: 3 * width,
            b: window.rows + width + head * headWidth, bStride: 3 * width,
            bLayout: .outputsByInputs, c: scores + cacheColumns, cStride: keyColumns, alpha: scale)
        let end = cacheColumns + window.rowCount
        for row in 0..<window.rowCount {
            let start = scores + row * keyColumns
            start.update(repeating: -.infinity, count: unused)
            (start + end).update(repeating: -.infinity, count: keyColumns - end)
        }
    }

    /// Weighted values [rowCount, width], this head's columns only.
    func mix(
        _ window: Operands, head: Int, weights: UnsafePointer<Float>,
        into context: UnsafeMutablePointer<Float>
    ) {
        let target = context + head * headWidth
        MatrixProduct.multiply(
            m: window.rowCount, n: headWidth, k: window.rowCount, a: weights + cacheColumns,
            aStride: keyColumns, b: window.rows + 2 * width + head * headWidth,
            bStride: 3 * width, bLayout: .inputsByOutputs, c: target, cStride: width)
        if window.cachedCount > 0 {
            MatrixProduct.multiply(
                m: window.rowCount, n: headWidth, k: window.cachedCount,
                a: weights + cacheColumns - window.cachedCount, aStride: keyColumns,
                b: window.cached + width + head * headWidth, bStride: 2 * width,
                bLayout: .inputsByOutputs, c: target, cStride: width, accumulate: true)
        }
    }
}

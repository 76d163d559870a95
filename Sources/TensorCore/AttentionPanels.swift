// Keys and values of attention in the order in which the product kernel reads them, and the attention of
// a block of queries over them. Softmax after Milakov and Gimelshein (2018), without its division: the
// outputs are scaled instead of the weights.

import Kernels

/// Packed keys and values of several sequences and heads, each [rows, width].
///
/// Sequences and heads have memory of their own; threads may pack different ranges of rows that begin
/// with multiples of 16.
package final class AttentionPanels: @unchecked Sendable {
    // Sendable because packing threads write disjoint rows, and nobody reads before they are done.
    private let memory = Workspace()
    private let keys, values: UnsafeMutablePointer<Float>
    private let heads, count, width: Int

    package init(sequences: Int, heads: Int, rows: Int, width: Int) {
        (self.heads, count, self.width) = (heads, rows, width)
        keys = memory.values(sequences * heads * PackedMatrix.floats(rows, width), of: 0)
        values = memory.values(sequences * heads * PackedMatrix.floats(width, rows), of: 0)
    }

    /// Queries that are taken together, so that their scores stay in a core's cache.
    package static func queryRows(keys: Int) -> Int { keys > 1536 ? 24 : 48 }

    /// Floats from one row of scores to the next: not a multiple of a page.
    package var scoreColumns: Int {
        let whole = (count + 15) / 16 * 16
        return whole % 256 == 0 ? whole + 16 : whole
    }

    /// Packs a range of rows; `key` and `value` point to the first one's values.
    package func pack(
        rows: Range<Int>, key: UnsafePointer<Float>, keyStride: Int, value: UnsafePointer<Float>,
        valueStride: Int, sequence: Int = 0, head: Int
    ) {
        let panel = PackedMatrix.panel
        let place = sequence * heads + head
        sa_pack_panels(
            rows.count, width, key, keyStride, 1,
            keys + place * PackedMatrix.floats(count, width) + rows.lowerBound * width)
        for first in stride(from: 0, to: width, by: panel) {
            sa_pack_panels(
                min(panel, width - first), rows.count, value + first, 1, valueStride,
                values + place * PackedMatrix.floats(width, count) + first * count
                    + rows.lowerBound * panel)
        }
    }

    /// softmax(scale q k) v for a block of queries [n, width] -> [n, width], on the calling thread.
    ///
    /// `scratch` holds n * (scoreColumns + 1) floats; `adjust` may change the scaled scores.
    package func attend(
        query: Rows, sequence: Int = 0, head: Int, scale: Float,
        scratch: UnsafeMutablePointer<Float>, output: Rows, adjust: ((Rows) -> Void)? = nil
    ) {
        let place = sequence * heads + head
        WorkCounter.add(2 * query.count * count * width)
        let scores = Rows(scratch, count: query.count, columns: count, stride: scoreColumns)
        let inverses = scratch + query.count * scoreColumns
        PackedMatrix.multiply(
            panels: keys + place * PackedMatrix.floats(count, width), outputs: 0..<count,
            0..<query.count, of: query, into: scores)
        if let adjust {
            for row in 0..<scores.count {
                sa_scale(scores.row(row), scale, count)
            }
            adjust(scores)
        }
        sa_exponentials(
            scratch, query.count, count, scoreColumns, adjust == nil ? scale : 1, inverses)
        PackedMatrix.multiply(
            panels: values + place * PackedMatrix.floats(width, count), outputs: 0..<width,
            0..<query.count, of: scores, into: output)
        output.scale(by: inverses)
    }
}

// Attention over pages against plain loops, for sequences of odd lengths that begin anywhere in a page,
// with keys and values in fp32 and bf16.

import Foundation
import Testing

import TensorCore

@Suite struct PagedAttentionTests {
    private static let (pageTokens, groups, perGroup, width) = (8, 3, 2, 20)
    private static let slopes: [Float] = (0..<groups * perGroup).map { 0.9 / Float($0 + 1) }

    /// A sequence with all its keys and values [tokens, groups * width].
    private struct Sequence {
        let start, count: Int
        let keys, values: [Float]
    }

    private static func rounded(_ x: Float, _ precision: WeightPrecision) -> Float {
        guard precision == .bf16 else { return x }
        return Float(bitPattern: UInt32(WeightMatrix.roundToBFloat16(x)) << 16)
    }

    /// The pages of a matrix [tokens, channels]; keys lie [channels, tokens of a page].
    private static func pages(
        _ rows: [Float], precision: WeightPrecision, transposed: Bool
    ) -> [[UInt8]] {
        let channels = groups * width
        let tokens = rows.count / channels
        return stride(from: 0, to: tokens, by: pageTokens).map { first in
            var page = [Float](repeating: 0, count: pageTokens * channels)
            for token in first..<min(first + pageTokens, tokens) {
                for channel in 0..<channels {
                    let place =
                        transposed
                        ? channel * pageTokens + token - first
                        : (token - first) * channels + channel
                    page[place] = rows[token * channels + channel]
                }
            }
            return precision == .bf16
                ? page.map(WeightMatrix.roundToBFloat16).withUnsafeBytes(Array.init)
                : page.withUnsafeBytes(Array.init)
        }
    }

    private static func plain(
        _ query: [Float], _ s: Sequence, row: Int, head: Int, precision: WeightPrecision
    ) -> [Double] {
        let (channels, offset) = (groups * width, head / perGroup * width)
        let position = s.start + row
        let scores = (0...position).map { key -> Double in
            let product = (0..<width).reduce(0.0) {
                let k = rounded(s.keys[key * channels + offset + $1], precision)
                return $0 + Double(query[$1]) * Double(k)
            }
            return product / Double(width).squareRoot()
                - Double(slopes[head]) * Double(position - key).squareRoot()
        }
        let top = scores.max() ?? 0
        let weights = scores.map { exp($0 - top) }
        let total = weights.reduce(0, +)
        return (0..<width).map { index in
            weights.enumerated().reduce(0.0) { sum, entry in
                let v = rounded(s.values[entry.offset * channels + offset + index], precision)
                return sum + entry.element / total * Double(v)
            }
        }
    }

    @Test(arguments: [WeightPrecision.fp32, .bf16])
    func rowsEqualPlainLoops(precision: WeightPrecision) {
        var random = SeededGenerator(seed: 31)
        let channels = Self.groups * Self.width
        let sequences = [(0, 1), (12, 1), (7, 5), (0, 70), (33, 1)].map { start, count in
            Sequence(
                start: start, count: count, keys: random.normals((start + count) * channels),
                values: random.normals((start + count) * channels))
        }
        let rows = sequences.reduce(0) { $0 + $1.count }
        let heads = Self.groups * Self.perGroup
        let query = Tensor(
            shape: [rows, heads * Self.width], values: random.normals(rows * heads * Self.width))
        let stored = sequences.map { s in
            (
                keys: Self.pages(s.keys, precision: precision, transposed: true).map(
                    TensorBytes.init),
                values: Self.pages(s.values, precision: precision, transposed: false)
                    .map(TensorBytes.init)
            )
        }
        var first = 0
        let batch = zip(sequences, stored).map { s, pages in
            defer { first += s.count }
            return PagedRows(
                row: first, count: s.count, start: s.start, keys: pages.keys.map(\.address),
                values: pages.values.map(\.address))
        }
        let attention = PagedAttention(
            pageTokens: Self.pageTokens, heads: heads, groups: Self.groups, width: Self.width,
            cachePrecision: precision, slopes: Self.slopes,
            roots: (0..<128).map { Float(127 - $0).squareRoot() })
        let mixed = attention(query, rows: batch)
        withExtendedLifetime(stored) {
            for (s, part) in zip(sequences, batch) {
                for row in 0..<s.count {
                    let line = query.row(part.row + row)
                    let found = mixed.row(part.row + row)
                    for head in 0..<heads {
                        let place = head * Self.width..<(head + 1) * Self.width
                        let wanted = Self.plain(
                            Array(line[place]), s, row: row, head: head, precision: precision)
                        for (a, b) in zip(found[place], wanted) {
                            #expect(abs(Double(a) - b) < 1e-5, "row \(row), head \(head)")
                        }
                    }
                }
            }
        }
    }
}

/// Bytes at an address of their own.
private final class TensorBytes {
    let address: UnsafeRawPointer
    private let base: UnsafeMutableRawPointer

    init(_ bytes: [UInt8]) {
        let copy = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 64)
        copy.copyMemory(from: bytes, byteCount: bytes.count)
        (base, address) = (copy, UnsafeRawPointer(copy))
    }

    deinit { base.deallocate() }
}

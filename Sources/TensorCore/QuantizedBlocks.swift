// int8 and int4 weights: tiles of 16 outputs, in a tile one block for 32 inputs after the other, in a
// block 16 scales (bf16) and then the weights (Kernels/body_quantised.h has their order). One order for
// every processor, so that a file is used as it lies.

import Kernels

/// A view of a matrix in blocks; the pointer must stay valid as long as the view.
package struct QuantizedBlocks: @unchecked Sendable {
    // Sendable because weights are only read.
    let base: UnsafeRawPointer
    let outputs: Int
    let inputs: Int
    let precision: WeightPrecision

    /// Outputs of a tile.
    package static let tile = Int(SA_BLOCK_OUTPUTS)
    /// Inputs of a block, which share a scale.
    package static let group = Int(SA_BLOCK_INPUTS)

    /// Bytes of one block.
    package static func blockBytes(_ precision: WeightPrecision) -> Int {
        2 * tile + tile * group * precision.bits / 8
    }

    /// The shape of the stored bytes: [tiles, blocks, bytes of a block].
    package static func shape(
        outputs: Int, inputs: Int, precision: WeightPrecision
    ) -> [Int] {
        [
            (outputs + tile - 1) / tile, (inputs + group - 1) / group, blockBytes(precision),
        ]
    }

    /// The precision of a stored tensor that has the form of blocks, nil when it has another form.
    package static func precision(_ stored: StoredTensor) -> WeightPrecision? {
        guard stored.scalarType == .uint8, stored.shape.count == 3 else { return nil }
        return [WeightPrecision.int8, .int4].first { blockBytes($0) == stored.shape[2] }
    }

    /// Rounds a row-major matrix, on all cores.
    package static func packed(
        _ source: UnsafeRawPointer?, isBFloat16: Bool, outputs: Int, inputs: Int,
        precision: WeightPrecision
    ) -> TensorStorage {
        let size = precision.byteCount(outputs: outputs, inputs: inputs)
        return TensorStorage(count: size) { target in
            guard let source, let base = target.baseAddress else { return }
            let from = SharedReadPointer(source.assumingMemoryBound(to: UInt8.self))
            let to = SharedPointer(base.assumingMemoryBound(to: UInt8.self))
            let tileBytes = precision.byteCount(outputs: tile, inputs: inputs)
            let rowBytes = inputs * (isBFloat16 ? 2 : 4)
            let type = Int32(isBFloat16 ? SA_BFLOAT16.rawValue : SA_FLOAT32.rawValue)
            Parallel.forEach((outputs + tile - 1) / tile) { index in
                sa_quantise_tile(
                    Int32(precision.bits), min(tile, outputs - index * tile), inputs,
                    from.base + index * tile * rowBytes, type, inputs,
                    to.base + index * tileBytes)
            }
        }
    }

    /// A x W^T + bias over a range of outputs, on all cores: `from` is [rows, inputs], `into`
    /// [rows, range].
    func multiply(
        rows: Int, outputs range: Range<Int>, from a: UnsafePointer<Float>,
        into c: UnsafeMutablePointer<Float>, accumulate: Bool, bias: UnsafePointer<Float>?
    ) {
        guard rows > 0, !range.isEmpty else { return }
        WorkCounter.add(rows * range.count * inputs)
        RoundedRows.with(rows: rows, inputs: inputs, from: a) { x in
            multiply(x, range, into: c, accumulate, bias)
        }
    }

    /// A x W^T of several matrices with the same inputs, on all cores.
    ///
    /// The rows are rounded once, and all tiles are one loop. `into` has a place [rows, outputs] for each
    /// matrix.
    static func multiply(
        _ matrices: [QuantizedBlocks], rows: Int, from a: UnsafePointer<Float>,
        into places: [SharedPointer<Float>]
    ) {
        guard rows > 0, let inputs = matrices.first?.inputs else { return }
        let tiles = matrices.map { ($0.outputs + tile - 1) / tile }
        WorkCounter.add(rows * inputs * matrices.reduce(0) { $0 + $1.outputs })
        RoundedRows.with(rows: rows, inputs: inputs, from: a) { x in
            Parallel.forEachRange(tiles.reduce(0, +), partsPerThread: 4) { part in
                var first = 0
                for (index, matrix) in matrices.enumerated() {
                    let own = part.clamped(to: first..<first + tiles[index])
                    if !own.isEmpty {
                        matrix.multiply(
                            x, tiles: own.lowerBound - first..<own.upperBound - first,
                            into: places[index])
                    }
                    first += tiles[index]
                }
            }
        }
    }

    /// Whole tiles of outputs, on the calling thread.
    private func multiply(_ x: RoundedRows, tiles: Range<Int>, into c: SharedPointer<Float>) {
        let first = tiles.lowerBound * Self.tile
        let tileBytes = precision.byteCount(outputs: Self.tile, inputs: inputs)
        sa_gemm_quantised(
            x.rows, min(outputs, tiles.upperBound * Self.tile) - first, inputs,
            Int32(precision.bits), x.values.base, x.scales.base, x.offsets.base,
            base.assumingMemoryBound(to: UInt8.self) + tiles.lowerBound * tileBytes,
            c.base + first, outputs, false, nil)
    }

    private func multiply(
        _ x: RoundedRows, _ range: Range<Int>, into c: UnsafeMutablePointer<Float>,
        _ accumulate: Bool, _ bias: UnsafePointer<Float>?
    ) {
        let rows = x.rows
        // Tiles are whole: a range that starts inside one has its first outputs computed apart.
        let aligned = min(
            (range.lowerBound + Self.tile - 1) / Self.tile * Self.tile, range.upperBound)
        let (weights, target) = (
            SharedReadPointer(base.assumingMemoryBound(to: UInt8.self)), SharedPointer(c)
        )
        let tileBytes = precision.byteCount(outputs: Self.tile, inputs: inputs)
        let (bits, width) = (Int32(precision.bits), inputs)
        func blocks(_ output: Int) -> UnsafePointer<UInt8> {
            weights.base + output / Self.tile * tileBytes
        }
        let lead = aligned - range.lowerBound
        if lead > 0 {
            let skipped = range.lowerBound % Self.tile
            let count = skipped + lead
            withUnsafeTemporaryAllocation(of: Float.self, capacity: rows * count) { block in
                guard let block = block.baseAddress else { return }
                sa_gemm_quantised(
                    rows, count, width, bits, x.values.base, x.scales.base, x.offsets.base,
                    blocks(range.lowerBound), block, count, false, nil)
                for row in 0..<rows {
                    for output in 0..<lead {
                        let value =
                            block[row * count + skipped + output] + (bias?[output] ?? 0)
                        let place = row * range.count + output
                        c[place] = accumulate ? c[place] + value : value
                    }
                }
            }
        }
        let remaining = range.upperBound - aligned
        let sharedBias = bias.map { SharedReadPointer($0 + lead) }
        let body: @Sendable (Range<Int>) -> Void = { part in
            let first = part.lowerBound
            sa_gemm_quantised(
                rows, part.count, width, bits, x.values.base, x.scales.base, x.offsets.base,
                weights.base + (aligned + first) / Self.tile * tileBytes,
                target.base + lead + first, range.count, accumulate,
                sharedBias.map { $0.base + first })
        }
        if rows * remaining * width < MatrixProduct.parallelThreshold {
            body(0..<remaining)
        } else {
            Parallel.forEachRange(remaining, grain: Self.tile, partsPerThread: 4, body)
        }
    }

    /// One output's weights as fp32.
    func read(row index: Int, into target: UnsafeMutablePointer<Float>) {
        let tileBytes = precision.byteCount(outputs: Self.tile, inputs: inputs)
        sa_dequantise_row(
            Int32(precision.bits), inputs,
            base.assumingMemoryBound(to: UInt8.self) + index / Self.tile * tileBytes,
            index % Self.tile, target)
    }
}

/// Rows of activations rounded to int8 for products with blocks, in an order of the kernels' own.
private struct RoundedRows: @unchecked Sendable {
    // Sendable because nobody writes them once they are made.
    let rows: Int
    let values: SharedPointer<Int8>
    let scales: SharedPointer<Float>
    let offsets: SharedPointer<Int32>

    /// Rounds [rows, inputs] on all cores; the result is valid during `body`.
    static func with(
        rows: Int, inputs: Int, from a: UnsafePointer<Float>, _ body: (RoundedRows) -> Void
    ) {
        let group = QuantizedBlocks.group
        let count = rows * ((inputs + group - 1) / group)
        withUnsafeTemporaryAllocation(byteCount: count * (group + 8), alignment: 64) { bytes in
            guard let start = bytes.baseAddress else { return }
            let after = start + count * group
            let x = RoundedRows(
                rows: rows, values: SharedPointer(start.assumingMemoryBound(to: Int8.self)),
                scales: SharedPointer(after.assumingMemoryBound(to: Float.self)),
                offsets: SharedPointer((after + 4 * count).assumingMemoryBound(to: Int32.self)))
            let input = SharedReadPointer(a)
            Parallel.forEachRange(rows, grain: max(1, 32_768 / max(1, inputs))) { part in
                sa_quantise_rows(
                    part.lowerBound, part.count, rows, inputs,
                    input.base + part.lowerBound * inputs, inputs, x.values.base, x.scales.base,
                    x.offsets.base)
            }
            body(x)
        }
    }
}

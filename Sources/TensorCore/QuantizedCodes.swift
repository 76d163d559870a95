// Matrices in blocks made from whole numbers that another tool has rounded already, and a look at the
// scales of a file's blocks.

import Synchronization

extension WeightMatrix {
    /// Packs whole numbers as they are.
    ///
    /// `fill` gets an output's number, room for its `inputs` codes (-8...7 for int4, -128...127 for
    /// int8) and for one scale for each 32 inputs, which is rounded to bf16.
    package init(
        outputs: Int, inputs: Int, precision: WeightPrecision,
        fill: (Int, UnsafeMutableBufferPointer<Int8>, UnsafeMutableBufferPointer<Float>) -> Void
    ) {
        let (tile, group) = (QuantizedBlocks.tile, QuantizedBlocks.group)
        let blocks = (inputs + group - 1) / group
        let blockBytes = QuantizedBlocks.blockBytes(precision)
        let (isNarrow, offset) = (precision == .int4, precision == .int4 ? 8 : 128)
        let size = precision.byteCount(outputs: outputs, inputs: inputs)
        let storage = TensorStorage(count: size) { target in
            target.initializeMemory(as: UInt8.self, repeating: 0)
            var codes = [Int8](repeating: 0, count: blocks * group)
            var scales = [Float](repeating: 0, count: blocks)
            // Rows past the last output hold zeros, like every other.
            for row in 0..<(outputs + tile - 1) / tile * tile {
                if row < outputs {
                    codes.withUnsafeMutableBufferPointer { codes in
                        scales.withUnsafeMutableBufferPointer { scales in
                            fill(row, .init(rebasing: codes[0..<inputs]), scales)
                        }
                    }
                }
                let output = row % tile
                for block in 0..<blocks {
                    let start = ((row / tile) * blocks + block) * blockBytes
                    let scale = row < outputs ? Self.roundToBFloat16(scales[block]) : 0
                    target.storeBytes(
                        of: scale.littleEndian, toByteOffset: start + 2 * output, as: UInt16.self)
                    for input in 0..<group {
                        let code = row < outputs ? Int(codes[block * group + input]) : 0
                        let value = UInt8(truncatingIfNeeded: code + offset)
                        let stretch = isNarrow ? 8 : 4
                        let place =
                            start + 2 * tile + input / stretch * 4 * tile + output * 4 + input % 4
                        target[place] |= isNarrow && input % 8 >= 4 ? value << 4 : value
                    }
                }
            }
        }
        self.init(
            outputs: outputs, inputs: inputs, precision: precision, storage: storage, byteOffset: 0)
    }

    /// The first output of which a block's scale is NaN or infinite; nil when there is none, and for
    /// plain matrices.
    package func firstRowWithBadScale() -> Int? {
        guard precision.isQuantized else { return nil }
        let (tile, bytes) = (QuantizedBlocks.tile, QuantizedBlocks.blockBytes(precision))
        let blocks = (inputs + QuantizedBlocks.group - 1) / QuantizedBlocks.group
        let outputs = outputs
        let first = Atomic<Int>(.max)
        withPointer { base in
            let base = SharedReadPointer(base.assumingMemoryBound(to: UInt8.self))
            Parallel.forEachRange((outputs + tile - 1) / tile, partsPerThread: 4) { tiles in
                for block in tiles.lowerBound * blocks..<tiles.upperBound * blocks {
                    for output in 0..<tile {
                        let bits = UnsafeRawPointer(base.base).loadUnaligned(
                            fromByteOffset: block * bytes + 2 * output, as: UInt16.self)
                        if bits & 0x7F80 == 0x7F80 {
                            first.min(block / blocks * tile + output, ordering: .relaxed)
                        }
                    }
                }
            }
        }
        let found = first.load(ordering: .relaxed)
        return found < outputs ? found : nil
    }
}

// Looks for NaN and infinity in stored tensors without converting them: a value is not finite exactly
// when all its exponent bits are set. All cores, as weights are gigabytes.

import TensorCore

extension StoredTensor {
    /// Whether the elements are floating-point numbers.
    var isFloating: Bool {
        switch scalarType {
        case .float16, .bfloat16, .float32, .float64: true
        default: false
        }
    }

    /// The index of the first element that is NaN or infinite, nil when there is none.
    func firstNonFinite() -> Int? {
        switch scalarType {
        case .float16: first(exponent: UInt16(0x7C00))
        case .bfloat16: first(exponent: UInt16(0x7F80))
        case .float32: first(exponent: UInt32(0x7F80_0000))
        case .float64: first(exponent: UInt64(0x7FF0_0000_0000_0000))
        default: nil
        }
    }

    private func first<Bits: FixedWidthInteger & UnsignedInteger & Sendable>(
        exponent: Bits
    ) -> Int? {
        let chunk = 1 << 18
        let chunks = (elementCount + chunk - 1) / chunk
        var found = [Int](repeating: Int.max, count: chunks)
        withBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            found.withUnsafeMutableBufferPointer { results in
                nonisolated(unsafe) let results = results
                nonisolated(unsafe) let base = base
                let total = elementCount
                Parallel.forEach(chunks) { index in
                    let range = (index * chunk)..<min((index + 1) * chunk, total)
                    func bits(_ element: Int) -> Bits {
                        base.loadUnaligned(
                            fromByteOffset: element * MemoryLayout<Bits>.size, as: Bits.self)
                            & exponent
                    }
                    var largest: Bits = 0
                    for element in range {
                        largest = max(largest, bits(element))
                    }
                    if largest == exponent {
                        results[index] = range.first { bits($0) == exponent } ?? range.lowerBound
                    }
                }
            }
        }
        return found.first { $0 != Int.max }
    }

    /// One element for a message.
    func shownValue(at index: Int) -> String {
        withBytes { bytes in
            let offset = index * scalarType.byteCount
            func load<T: BitwiseCopyable>(_ type: T.Type) -> T {
                bytes.loadUnaligned(fromByteOffset: offset, as: type)
            }
            switch scalarType {
            case .float64: return "\(load(Double.self))"
            case .float32: return "\(load(Float.self))"
            case .bfloat16: return "\(Float(bitPattern: UInt32(load(UInt16.self)) << 16))"
            case .float16:
                let half = load(UInt16.self)
                return half & 0x3FF != 0 ? "nan" : half & 0x8000 != 0 ? "-inf" : "inf"
            default: return "\(load(UInt8.self))"
            }
        }
    }
}

// 16-bit samples as they go over the wire.

/// Samples as 16-bit little-endian integers and back.
package enum PCM16 {
    package static func bytes(_ samples: [Float]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(samples.count * 2)
        for sample in samples {
            let scaled = (max(-1, min(1, sample)) * 32767).rounded()
            let value = UInt16(bitPattern: Int16(scaled.isFinite ? scaled : 0))
            bytes.append(UInt8(truncatingIfNeeded: value))
            bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        }
        return bytes
    }

    /// A last odd byte is left out.
    package static func samples(_ bytes: some RandomAccessCollection<UInt8>) -> [Float] {
        var samples: [Float] = []
        samples.reserveCapacity(bytes.count / 2)
        var index = bytes.startIndex
        while let next = bytes.index(index, offsetBy: 1, limitedBy: bytes.endIndex),
            next != bytes.endIndex
        {
            let value = UInt16(bytes[index]) | UInt16(bytes[next]) << 8
            samples.append(Float(Int16(bitPattern: value)) / 32768)
            index = bytes.index(after: next)
        }
        return samples
    }
}

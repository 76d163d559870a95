// The hash that names things by their content. Source: NIST, FIPS 180-4 (2015).

import Foundation

/// SHA-256.
package struct SHA256 {
    private var state: [UInt32] = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab,
        0x5be0_cd19,
    ]

    /// The fractional parts of the cube roots of the first 64 primes.
    private static let constants: [UInt32] = {
        var primes: [Int] = []
        var candidate = 2
        while primes.count < 64 {
            if primes.allSatisfy({ candidate % $0 != 0 }) { primes.append(candidate) }
            candidate += 1
        }
        return primes.map { prime in
            // floor(cbrt(p) * 2^32) by bisection on integers below 2^36.
            var (low, high) = (UInt64(0), UInt64(1) << 36)
            let target = wide(UInt64(prime))
            while high - low > 1 {
                let middle = (low + high) / 2
                if cube(middle, isAtMost: target) { low = middle } else { high = middle }
            }
            return UInt32(truncatingIfNeeded: low)
        }
    }()

    /// p * 2^96 as high and low words.
    private static func wide(_ prime: UInt64) -> (UInt64, UInt64) { (prime << 32, 0) }

    private static func cube(_ x: UInt64, isAtMost limit: (UInt64, UInt64)) -> Bool {
        let square = x.multipliedFullWidth(by: x)
        // x < 2^36, so the square is below 2^72 and the cube below 2^108.
        let low = square.low.multipliedFullWidth(by: x)
        let (high, overflow) = low.high.addingReportingOverflow(square.high &* x)
        return !overflow && (high, low.low) <= limit
    }

    /// The hash of some bytes in hexadecimal digits.
    package static func hex(_ data: some Sequence<UInt8>) -> String {
        var bytes = Array(data)
        let bits = UInt64(bytes.count) * 8
        bytes.append(0x80)
        while bytes.count % 64 != 56 { bytes.append(0) }
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt64(shift)))
        }
        var hash = SHA256()
        bytes.withUnsafeBufferPointer { buffer in
            for start in stride(from: 0, to: buffer.count, by: 64) {
                hash.take(UnsafeBufferPointer(rebasing: buffer[start..<start + 64]))
            }
        }
        return hash.state.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    private mutating func take(_ block: UnsafeBufferPointer<UInt8>) {
        func rotated(_ x: UInt32, _ by: UInt32) -> UInt32 { (x >> by) | (x << (32 - by)) }
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { words in
            for index in 0..<16 {
                words[index] = (0..<4).reduce(0) { $0 << 8 | UInt32(block[4 * index + $1]) }
            }
            for index in 16..<64 {
                let (near, far) = (words[index - 2], words[index - 15])
                let small = rotated(far, 7) ^ rotated(far, 18) ^ (far >> 3)
                let large = rotated(near, 17) ^ rotated(near, 19) ^ (near >> 10)
                words[index] = words[index - 16] &+ small &+ words[index - 7] &+ large
            }
            var (a, b, c, d) = (state[0], state[1], state[2], state[3])
            var (e, f, g, h) = (state[4], state[5], state[6], state[7])
            for index in 0..<64 {
                let choice = (e & f) ^ (~e & g)
                let large = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
                let first = h &+ large &+ choice &+ Self.constants[index] &+ words[index]
                let majority = (a & b) ^ (a & c) ^ (b & c)
                let small = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)
                (h, g, f, e) = (g, f, e, d &+ first)
                (d, c, b, a) = (c, b, a, first &+ small &+ majority)
            }
            for (index, value) in [a, b, c, d, e, f, g, h].enumerated() { state[index] &+= value }
        }
    }
}

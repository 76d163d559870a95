// The discrete Fourier transform in double precision, any length, by mixed radix. Source: Cooley
// and Tukey, "An algorithm for the machine calculation of complex Fourier series" (1965).

import Foundation

/// Transforms of one length.
public struct FourierTransform: Sendable {
    /// Number of points.
    public let count: Int
    private let factors: [Int]
    private let cosines: [Double]
    private let sines: [Double]

    /// Prepares transforms of `count` points, at least 1.
    public init(count: Int) {
        precondition(count > 0, "a transform of \(count) points")
        self.count = count
        var factors: [Int] = []
        var rest = count
        for radix in [4, 2, 3, 5] {
            while rest % radix == 0 {
                factors.append(radix)
                rest /= radix
            }
        }
        var radix = 7
        while rest > 1 {
            if rest % radix == 0 {
                factors.append(radix)
                rest /= radix
            } else {
                radix = radix * radix > rest ? rest : radix + 2
            }
        }
        self.factors = factors
        cosines = (0..<count).map { cos(2 * .pi * Double($0) / Double(count)) }
        sines = (0..<count).map { -sin(2 * .pi * Double($0) / Double(count)) }
    }

    /// The squared magnitudes of bins 0...count/2 of a real signal of `count` samples.
    public func power(_ signal: [Double]) -> [Double] {
        let (real, imaginary) = forward(signal)
        return (0...count / 2).map { real[$0] * real[$0] + imaginary[$0] * imaginary[$0] }
    }

    /// The transform of a real signal: real and imaginary parts of all `count` bins.
    public func forward(_ signal: [Double]) -> (real: [Double], imaginary: [Double]) {
        precondition(signal.count == count, "\(signal.count) samples for \(count) points")
        var real = [Double](repeating: 0, count: count)
        var imaginary = real
        real.withUnsafeMutableBufferPointer { re in
            imaginary.withUnsafeMutableBufferPointer { im in
                signal.withUnsafeBufferPointer { input in
                    transform(
                        input, inputStart: 0, inputStride: 1, re, im, start: 0, length: count,
                        level: 0)
                }
            }
        }
        return (real, imaginary)
    }

    private func transform(
        _ input: UnsafeBufferPointer<Double>, inputStart: Int, inputStride: Int,
        _ re: UnsafeMutableBufferPointer<Double>, _ im: UnsafeMutableBufferPointer<Double>,
        start: Int, length: Int, level: Int
    ) {
        guard length > 1 else {
            re[start] = input[inputStart]
            im[start] = 0
            return
        }
        let radix = factors[level]
        let part = length / radix
        for branch in 0..<radix {
            transform(
                input, inputStart: inputStart + branch * inputStride,
                inputStride: inputStride * radix, re, im, start: start + branch * part,
                length: part, level: level + 1)
        }
        withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * radix) { scratch in
            let step = count / length
            for k in 0..<part {
                for branch in 0..<radix {
                    let turn = (branch * k * step) % count
                    let (x, y) = (re[start + branch * part + k], im[start + branch * part + k])
                    scratch[2 * branch] = x * cosines[turn] - y * sines[turn]
                    scratch[2 * branch + 1] = x * sines[turn] + y * cosines[turn]
                }
                for output in 0..<radix {
                    var (x, y) = (scratch[0], scratch[1])
                    for branch in 1..<radix {
                        let turn = (branch * output * (count / radix)) % count
                        let (c, s) = (cosines[turn], sines[turn])
                        x += scratch[2 * branch] * c - scratch[2 * branch + 1] * s
                        y += scratch[2 * branch] * s + scratch[2 * branch + 1] * c
                    }
                    re[start + output * part + k] = x
                    im[start + output * part + k] = y
                }
            }
        }
    }
}

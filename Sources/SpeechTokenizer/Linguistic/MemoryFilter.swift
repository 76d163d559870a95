// The memory of SAN-M: a depthwise filter over the values of each chunk window, with the values
// themselves added. Zeros stand outside the window, cached rows play no part.

import TensorCore

/// mem[t, c] = u[t, c] + sum over j of w[c, j] u[t + j - left, c], u zero outside its window.
struct MemoryFilter: Sendable {
    let width: Int
    let kernel: Int
    /// Taps before the current row.
    let left: Int
    private let taps: [Float]  // [kernel, width]

    /// Makes the filter from weights [width, 1, kernel]; `shift` moves it to the past.
    init(weight: [Float], width: Int, kernel: Int, shift: Int) {
        self.width = width
        self.kernel = kernel
        left = (kernel - 1) / 2 + max(0, shift)
        taps = Tensor(shape: [width, kernel], values: weight).transposed().values
    }

    /// Adds the memory of the columns of `mixed` that start at `column` to a [R, width] tensor.
    func add(
        of mixed: Tensor, column: Int, windows: ChunkWindows, to result: inout Tensor
    ) {
        let stride = mixed.columns
        result.values.withUnsafeMutableBufferPointer { target in
            mixed.values.withUnsafeBufferPointer { source in
                taps.withUnsafeBufferPointer { taps in
                    guard let target = target.baseAddress, let source = source.baseAddress,
                        let taps = taps.baseAddress
                    else { return }
                    let (output, input) = (SharedPointer(target), SharedReadPointer(source))
                    let weights = SharedReadPointer(taps)
                    Parallel.forEach(windows.windows.count) { index in
                        let window = windows.windows[index]
                        filter(
                            rows: window.rows, taps: weights.base,
                            input: input.base + window.start * stride + column,
                            inputStride: stride, output: output.base + window.start * width)
                    }
                }
            }
        }
    }

    private func filter(
        rows: Int, taps: UnsafePointer<Float>, input: UnsafePointer<Float>, inputStride: Int,
        output: UnsafeMutablePointer<Float>
    ) {
        for row in 0..<rows {
            let target = output + row * width
            let own = input + row * inputStride
            for channel in 0..<width {
                target[channel] += own[channel]
            }
            for tap in max(0, left - row)..<max(0, left - row, min(kernel, rows + left - row)) {
                let source = input + (row + tap - left) * inputStride
                let weight = taps + tap * width
                for channel in 0..<width {
                    target[channel] += weight[channel] * source[channel]
                }
            }
        }
    }
}

// Matrix products on raw pointers with strided rows, the one door to the product kernels.
// Preconditions of all functions: pointers are valid for the stated extents; C does not overlap
// A or B.

import Kernels

/// Products C[m, n] = alpha * A[m, k] B.
public enum MatrixProduct {
    /// How B lies in memory.
    public enum Layout: Sendable {
        /// B is [n, k]: each row holds the weights of one output.
        case outputsByInputs
        /// B is [k, n].
        case inputsByOutputs
    }

    /// Smallest number of multiply-adds that is worth a second thread.
    static let parallelThreshold = 40_000

    /// C = alpha * A B, or C += alpha * A B when `accumulate` is true, on the calling thread.
    public static func multiply(
        m: Int, n: Int, k: Int, a: UnsafePointer<Float>, aStride: Int, b: UnsafePointer<Float>,
        bStride: Int, bLayout: Layout, c: UnsafeMutablePointer<Float>, cStride: Int,
        alpha: Float = 1, accumulate: Bool = false
    ) {
        WorkCounter.add(m * n * k)
        sa_gemm(
            m, n, k, a, aStride, b, bStride, Int32(SA_FLOAT32.rawValue),
            bLayout == .inputsByOutputs, c, cStride, alpha, accumulate, nil)
    }

    /// C = A W^T + bias (or added to C) on all cores; W is [n, k] in fp32 or bf16.
    static func multiplyParallel(
        m: Int, n: Int, k: Int, a: UnsafePointer<Float>, aStride: Int, weights: UnsafeRawPointer,
        weightsStride: Int, isBFloat16: Bool, c: UnsafeMutablePointer<Float>, cStride: Int,
        accumulate: Bool, bias: UnsafePointer<Float>?
    ) {
        WorkCounter.add(m * n * k)
        let type = Int32(isBFloat16 ? SA_BFLOAT16.rawValue : SA_FLOAT32.rawValue)
        let (left, right) = (
            SharedReadPointer(a), SharedReadPointer(weights.assumingMemoryBound(to: UInt8.self))
        )
        let target = SharedPointer(c)
        let sharedBias = bias.map { SharedReadPointer($0) }
        let elementBytes = isBFloat16 ? 2 : 4
        if m * n * k < parallelThreshold || Parallel.threadCount == 1 {
            sa_gemm(
                m, n, k, a, aStride, weights, weightsStride, type, false, c, cStride, 1,
                accumulate, bias)
        } else if n >= m {
            Parallel.forEachRange(n, grain: 32, partsPerThread: m > 32 ? 2 : 4) { outputs in
                let first = outputs.lowerBound
                sa_gemm(
                    m, outputs.count, k, left.base, aStride,
                    right.base + first * weightsStride * elementBytes, weightsStride, type, false,
                    target.base + first, cStride, 1, accumulate,
                    sharedBias.map { $0.base + first })
            }
        } else {
            Parallel.forEachRange(m, grain: 96, partsPerThread: 4) { rows in
                let first = rows.lowerBound
                sa_gemm(
                    rows.count, n, k, left.base + first * aStride, aStride, right.base,
                    weightsStride, type, false, target.base + first * cStride, cStride, 1,
                    accumulate, sharedBias?.base)
            }
        }
    }
}

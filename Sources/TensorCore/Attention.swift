// Scaled dot-product attention (Vaswani et al. 2017) over [T, heads * d] rows, with grouped
// key-value heads and a hook for biases and masks. Queries are taken in blocks, so the scores of
// one block are all the extra memory a thread needs.

import Kernels

/// Adds a bias or mask to a block of scaled scores before the softmax.
///
/// Arguments: head, the block's query rows, the scores as [query rows, keys] row-major, key count.
public typealias ScoreAdjustment =
    @Sendable (
        _ head: Int, _ queryRows: Range<Int>, _ scores: UnsafeMutablePointer<Float>, _ keyCount: Int
    ) -> Void

/// Multi-head attention over whole sequences.
///
/// Query [Tq, heads * d], key and value [Tk, keyValueHeads * d] -> [Tq, heads * d]. Query head h
/// reads group h / (heads / keyValueHeads).
public func attention(
    query: Tensor, key: Tensor, value: Tensor, heads: Int, keyValueHeads: Int? = nil,
    scale: Float, adjust: ScoreAdjustment? = nil
) -> Tensor {
    let groups = keyValueHeads ?? heads
    precondition(heads > 0 && groups > 0 && heads % groups == 0, "\(heads) heads, \(groups) groups")
    precondition(key.shape == value.shape, "keys \(key.shape), values \(value.shape)")
    precondition(query.columns % heads == 0 && key.columns == query.columns / heads * groups)
    var result = Tensor(zeros: [query.rows, query.columns])
    let (queryCount, keyCount) = (query.rows, key.rows)
    result.values.withUnsafeMutableBufferPointer { output in
        query.values.withUnsafeBufferPointer { q in
            key.values.withUnsafeBufferPointer { k in
                value.values.withUnsafeBufferPointer { v in
                    guard let output = output.baseAddress, let q = q.baseAddress,
                        let k = k.baseAddress, let v = v.baseAddress
                    else { return }
                    attend(
                        queryCount: queryCount, keyCount: keyCount, heads: heads, groups: groups,
                        width: query.columns / heads, query: q, queryStride: query.columns, key: k,
                        keyStride: key.columns, value: v, valueStride: value.columns,
                        output: output, outputStride: query.columns, scale: scale, adjust: adjust)
                }
            }
        }
    }
    return result
}

/// The same on raw pointers with row strides in floats.
///
/// `width` is the size of one head. All pointers must be valid for their extents and the output
/// must not overlap the inputs.
package func attend(
    queryCount: Int, keyCount: Int, heads: Int, groups: Int, width: Int,
    query: UnsafePointer<Float>, queryStride: Int, key: UnsafePointer<Float>, keyStride: Int,
    value: UnsafePointer<Float>, valueStride: Int, output: UnsafeMutablePointer<Float>,
    outputStride: Int, scale: Float, adjust: ScoreAdjustment?
) {
    guard queryCount > 0, keyCount > 0 else { return }
    let block = 96
    let blocks = (queryCount + block - 1) / block
    let (q, k, v) = (SharedReadPointer(query), SharedReadPointer(key), SharedReadPointer(value))
    let target = SharedPointer(output)
    let work: @Sendable (Int) -> Void = { task in
        let (head, part) = (task / blocks, task % blocks)
        let group = head / (heads / groups)
        let rows = part * block..<min((part + 1) * block, queryCount)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: rows.count * keyCount) { scores in
            guard let scores = scores.baseAddress else { return }
            MatrixProduct.multiply(
                m: rows.count, n: keyCount, k: width,
                a: q.base + rows.lowerBound * queryStride + head * width, aStride: queryStride,
                b: k.base + group * width, bStride: keyStride, bLayout: .outputsByInputs,
                c: scores, cStride: keyCount, alpha: scale)
            adjust?(head, rows, scores, keyCount)
            sa_softmax(scores, rows.count, keyCount, keyCount)
            MatrixProduct.multiply(
                m: rows.count, n: width, k: keyCount, a: scores, aStride: keyCount,
                b: v.base + group * width, bStride: valueStride, bLayout: .inputsByOutputs,
                c: target.base + rows.lowerBound * outputStride + head * width,
                cStride: outputStride)
        }
    }
    if queryCount * keyCount * width * heads < MatrixProduct.parallelThreshold {
        for task in 0..<heads * blocks {
            work(task)
        }
    } else {
        Parallel.forEach(heads * blocks, work)
    }
}

// Scaled dot-product attention (Vaswani et al. 2017) over [T, heads * d] rows, with grouped
// key-value heads and a hook for biases and masks. Queries are taken in blocks, so the scores of
// one block are all the extra memory a thread needs. Keys and values are packed once for all of them.

/// Adds a bias or mask to a block of scaled scores before the softmax.
///
/// Arguments: head, the block's query rows, the scores [query rows, keys].
package typealias ScoreAdjustment =
    @Sendable (_ head: Int, _ queryRows: Range<Int>, _ scores: Rows) -> Void

/// Multi-head attention over whole sequences.
///
/// Query [Tq, heads * d], key and value [Tk, keyValueHeads * d] -> [Tq, heads * d]. Query head h
/// reads group h / (heads / keyValueHeads).
package func attention(
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
    let panels = AttentionPanels(sequences: 1, heads: groups, rows: keyCount, width: width)
    let (q, k, v) = (SharedReadPointer(query), SharedReadPointer(key), SharedReadPointer(value))
    let target = SharedPointer(output)
    let isSmall = queryCount * keyCount * width * heads < MatrixProduct.parallelThreshold
    func forEach(_ count: Int, _ work: @Sendable (Int) -> Void) {
        if isSmall {
            for task in 0..<count {
                work(task)
            }
        } else {
            Parallel.forEach(count, work)
        }
    }
    forEach(groups) { group in
        panels.pack(
            rows: 0..<keyCount, key: k.base + group * width, keyStride: keyStride,
            value: v.base + group * width, valueStride: valueStride, head: group)
    }
    let block = AttentionPanels.queryRows(keys: keyCount)
    let blocks = (queryCount + block - 1) / block
    forEach(heads * blocks) { task in
        let (head, part) = (task / blocks, task % blocks)
        let rows = part * block..<min((part + 1) * block, queryCount)
        let columns = panels.scoreColumns
        withUnsafeTemporaryAllocation(of: Float.self, capacity: rows.count * (columns + 1)) {
            scratch in
            guard let scratch = scratch.baseAddress else { return }
            // The views are only read through where the caller's memory is constant.
            panels.attend(
                query: Rows(
                    UnsafeMutablePointer(mutating: q.base) + rows.lowerBound * queryStride
                        + head * width, count: rows.count, columns: width, stride: queryStride),
                head: head / (heads / groups), scale: scale, scratch: scratch,
                output: Rows(
                    target.base + rows.lowerBound * outputStride + head * width,
                    count: rows.count, columns: width, stride: outputStride)
            ) { scores in adjust?(head, rows, scores) }
        }
    }
}

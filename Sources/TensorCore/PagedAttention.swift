// Causal attention of many sequences at once over keys and values that lie in pages. Each sequence
// brings some new rows and the pages of all its tokens, the new ones included; a page holds keys [groups *
// d, pageTokens] or values [pageTokens, groups * d]. The bias of a key is -slope * sqrt(distance).

import Kernels

/// The new rows of one sequence in a batch.
package struct PagedRows {
    /// First row in the batch.
    package let row: Int
    /// Number of rows.
    package let count: Int
    /// Tokens of the sequence before them.
    package let start: Int
    /// The sequence's pages of keys.
    package let keys: [UnsafeRawPointer]
    /// The sequence's pages of values.
    package let values: [UnsafeRawPointer]

    package init(
        row: Int, count: Int, start: Int, keys: [UnsafeRawPointer], values: [UnsafeRawPointer]
    ) {
        self.row = row
        self.count = count
        self.start = start
        self.keys = keys
        self.values = values
    }
}

/// Sizes and rules of an attention over pages.
package struct PagedAttention: Sendable {
    let pageTokens: Int
    let heads: Int
    let groups: Int
    /// Values of a head.
    let width: Int
    /// How pages hold keys and values: fp32 or bf16.
    let cachePrecision: WeightPrecision
    /// One slope a head.
    let slopes: [Float]
    /// Element `m` is the square root of `count - 1 - m`.
    let roots: [Float]

    /// Rows of one sequence that are taken at once.
    private static let block = 64
    /// Smallest number of multiply-adds that is worth a second thread.
    private static let parallelWork = 300_000

    package init(
        pageTokens: Int, heads: Int, groups: Int, width: Int, cachePrecision: WeightPrecision,
        slopes: [Float], roots: [Float]
    ) {
        self.pageTokens = pageTokens
        self.heads = heads
        self.groups = groups
        self.width = width
        self.cachePrecision = cachePrecision
        self.slopes = slopes
        self.roots = roots
    }

    /// One head group of one block of a sequence's rows.
    private struct Job: @unchecked Sendable {
        // Sendable because the pages are only read while the jobs run.
        let rows: PagedRows
        let part: Range<Int>
        let group: Int
    }

    /// [R, heads * d] -> [R, heads * d], R being all rows of the batch.
    ///
    /// A row's result depends on the row and its own sequence only.
    package func callAsFunction(_ query: Tensor, rows: [PagedRows]) -> Tensor {
        var jobs: [Job] = []
        var work = 0
        for sequence in rows {
            work += sequence.count * (sequence.start + sequence.count) * width * heads * 2
            for first in stride(from: 0, to: sequence.count, by: Self.block) {
                let part = first..<min(first + Self.block, sequence.count)
                for group in 0..<groups {
                    jobs.append(Job(rows: sequence, part: part, group: group))
                }
            }
        }
        let all = jobs
        let values = [Float](unsafeUninitializedCapacity: query.values.count) { buffer, count in
            query.values.withUnsafeBufferPointer { source in
                guard let q = source.baseAddress, let c = buffer.baseAddress else { return }
                let (from, to) = (SharedReadPointer(q), SharedPointer(c))
                if work < Self.parallelWork {
                    for job in all { run(job, from.base, to.base) }
                } else {
                    Parallel.forEach(all.count) { run(all[$0], from.base, to.base) }
                }
            }
            count = query.values.count
        }
        return Tensor(shape: query.shape, values: values)
    }

    private func run(
        _ job: Job, _ query: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>
    ) {
        let (perGroup, stride) = (heads / groups, heads * width)
        let keyCount = job.rows.start + job.part.upperBound
        let first = (job.rows.row + job.part.lowerBound) * stride + job.group * perGroup * width
        // One row's heads of a group read the same keys: they are the rows of one product.
        let isSingle = job.part.count == 1
        let (products, height) = isSingle ? (1, perGroup) : (perGroup, job.part.count)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: height * keyCount) { scratch in
            guard let scores = scratch.baseAddress else { return }
            for product in 0..<products {
                let place = first + product * width
                let step = isSingle ? width : stride
                score(job, query + place, step, height, keyCount, scores)
                for row in 0..<height {
                    let head = job.group * perGroup + (isSingle ? row : product)
                    let position = job.rows.start + job.part.lowerBound + (isSingle ? 0 : row)
                    bias(scores + row * keyCount, keyCount, position: position, head: head)
                }
                sa_softmax(scores, height, keyCount, keyCount)
                mix(job, scores, keyCount, height, output + place, step)
            }
        }
    }

    private var numberBytes: Int { cachePrecision.bits / 8 }
    private var numberType: Int32 {
        Int32(cachePrecision == .bf16 ? SA_BFLOAT16.rawValue : SA_FLOAT32.rawValue)
    }

    private func score(
        _ job: Job, _ query: UnsafePointer<Float>, _ step: Int, _ height: Int, _ keyCount: Int,
        _ scores: UnsafeMutablePointer<Float>
    ) {
        let scale = 1 / Float(width).squareRoot()
        for page in 0..<(keyCount + pageTokens - 1) / pageTokens {
            let tokens = min(pageTokens, keyCount - page * pageTokens)
            sa_gemm(
                height, tokens, width, query, step,
                job.rows.keys[page] + job.group * width * pageTokens * numberBytes, pageTokens,
                numberType, true, scores + page * pageTokens, keyCount, scale, false, nil)
        }
    }

    private func bias(
        _ line: UnsafeMutablePointer<Float>, _ keyCount: Int, position: Int, head: Int
    ) {
        let slope = slopes[head]
        roots.withUnsafeBufferPointer { table in
            guard let base = table.baseAddress else { return }
            let distance = base + (table.count - 1 - position)
            for key in 0...position {
                line[key] -= slope * distance[key]
            }
        }
        for key in position + 1..<max(position + 1, keyCount) {
            line[key] = -.infinity
        }
    }

    private func mix(
        _ job: Job, _ scores: UnsafePointer<Float>, _ keyCount: Int, _ height: Int,
        _ output: UnsafeMutablePointer<Float>, _ step: Int
    ) {
        for page in 0..<(keyCount + pageTokens - 1) / pageTokens {
            let tokens = min(pageTokens, keyCount - page * pageTokens)
            sa_gemm(
                height, width, tokens, scores + page * pageTokens, keyCount,
                job.rows.values[page] + job.group * width * numberBytes, groups * width,
                numberType, true, output, step, 1, page > 0, nil)
        }
    }
}

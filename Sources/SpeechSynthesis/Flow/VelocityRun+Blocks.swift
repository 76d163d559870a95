// What the flow's velocities do to a block of rows, on whichever thread has it, and where rows lie.

import Synchronization
import TensorCore

extension VelocityRun {
    /// Norm, then queries, and keys and values in panels.
    func project(
        _ layer: FlowTransformer, _ x: Rows, _ worker: Int, _ sequence: Int, _ range: Range<Int>,
        rate: Int, set: Int
    ) {
        guard let queries else { return }
        let mixed = layer.query.weight.outputs
        let normed = compact(scratch[worker].normed, x.columns, range)
        layer.attentionNorm.apply(x, into: normed)
        layer.query.apply(
            normed, into: part(compact(queries, mixed, rate), sequence, rate).rows(range))
        let both = compact(scratch[worker].keysAndValues, 2 * mixed, range)
        layer.key.apply(normed, into: both.columns(0..<mixed))
        layer.value.apply(normed, into: both.columns(mixed..<2 * mixed))
        for head in 0..<layer.heads {
            let first = head * layer.headWidth
            panels[rate][set].pack(
                rows: range, key: both.base + first, keyStride: both.stride,
                value: both.base + mixed + first, valueStride: both.stride, sequence: sequence,
                head: head)
        }
    }

    /// x += attention of a block's queries.
    func attend(
        _ layer: FlowTransformer, _ x: Rows, _ worker: Int, _ sequence: Int, _ range: Range<Int>,
        rate: Int, set: Int
    ) {
        guard let queries else { return }
        let (mixed, width) = (layer.query.weight.outputs, layer.headWidth)
        let query = part(compact(queries, mixed, rate), sequence, rate).rows(range)
        let target = compact(scratch[worker].mixed, mixed, range)
        let most = AttentionPanels.queryRows(keys: frames[rate])
        for first in stride(from: 0, to: range.count, by: most) {
            let rows = first..<min(first + most, range.count)
            for head in 0..<layer.heads {
                let columns = head * width..<(head + 1) * width
                panels[rate][set].attend(
                    query: query.rows(rows).columns(columns), sequence: sequence, head: head,
                    scale: 1 / Float(width).squareRoot(), scratch: scratch[worker].scores,
                    output: target.rows(rows).columns(columns))
            }
        }
        layer.output.apply(target, into: x, end: ProductEnd(addend: x))
    }

    /// x += feed-forward network of x.
    func feedForward(_ layer: FlowTransformer, _ x: Rows, _ worker: Int) {
        let rows = 0..<x.count
        let normed = compact(scratch[worker].normed, x.columns, rows)
        let expanded = compact(scratch[worker].inner, layer.expansion.weight.outputs, rows)
        layer.feedForwardNorm.apply(x, into: normed)
        layer.expansion.apply(normed, into: expanded, end: ProductEnd(activation: .gelu))
        layer.contraction.apply(expanded, into: x, end: ProductEnd(addend: x))
    }

    /// A convolution of all sequences, with the moments of its rows.
    func convolve(_ layer: Convolution1D, _ input: Rows, into output: Rows, rate: Int) {
        forEachBlock(rate) { _, sequence, range in
            let target = self.part(output, sequence, rate).rows(range)
            layer.apply(range, of: self.part(input, sequence, rate), into: target)
            self.measure(target, sequence, range)
        }
    }

    /// The first convolution: of the state, once for all sequences; the conditioned one has more.
    func convolveState(_ state: Rows, into output: Rows) {
        let blocks = (frames[0] + Self.block - 1) / Self.block
        Parallel.forEach(blocks) { index in
            let range = self.range(index, 0)
            let conditioned = self.part(output, 0, 0).rows(range)
            if self.sequences > 1 {
                let free = self.part(output, 1, 0).rows(range)
                self.firstConvolution.apply(range, of: state, into: free)
                self.measure(free, 1, range)
                conditioned.copy(free)
            } else {
                self.firstConvolution.apply(range, of: state, into: conditioned)
            }
            self.given.withRows { conditioned.add($0.rows(range)) }
            self.measure(conditioned, 0, range)
        }
    }

    /// Where the moments of a block lie: [2 C].
    func moments(
        _ sequence: Int, _ block: Int, _ width: Int
    ) -> UnsafeMutablePointer<Double> {
        let blocks = (frames[0] + Self.block - 1) / Self.block
        return moments + (sequence * blocks + block) * 2 * width
    }

    func measure(_ rows: Rows, _ sequence: Int, _ range: Range<Int>) {
        let sums = moments(sequence, range.lowerBound / Self.block, rows.columns)
        sums.update(repeating: 0, count: 2 * rows.columns)
        rows.addMoments(to: sums)
    }

    /// The scales and shifts of a norm after a convolution, for each sequence.
    func affine(_ norm: GroupNorm, _ rate: Int) -> [(scale: [Float], shift: [Float])] {
        let width = norm.weight.count
        return (0..<sequences).map { sequence in
            var total = [Double](repeating: 0, count: 2 * width)
            for block in 0..<(frames[rate] + Self.block - 1) / Self.block {
                let sums = moments(sequence, block, width)
                for place in 0..<2 * width {
                    total[place] += sums[place]
                }
            }
            return norm.affine(
                sums: Array(total[..<width]), squares: Array(total[width...]),
                frames: frames[rate])
        }
    }

    // MARK: - Where rows lie

    /// The rows of a block.
    func range(_ block: Int, _ rate: Int) -> Range<Int> {
        block * Self.block..<min((block + 1) * Self.block, frames[rate])
    }

    /// One sequence's rows.
    func part(_ rows: Rows, _ sequence: Int, _ rate: Int) -> Rows {
        rows.rows(sequence * frames[rate]..<(sequence + 1) * frames[rate])
    }

    /// The same memory as rows of `columns` values without gaps, for all sequences at a rate.
    func compact(_ rows: Rows, _ columns: Int, _ rate: Int) -> Rows {
        Rows(rows.base, count: sequences * frames[rate], columns: columns)
    }

    /// The same for the rows of a block.
    func compact(_ rows: Rows, _ columns: Int, _ range: Range<Int>) -> Rows {
        Rows(rows.base, count: range.count, columns: columns)
    }

    /// Calls `body` with a thread's number, a sequence and a block of its rows, for all of them.
    func forEachBlock(
        _ rate: Int, _ body: @Sendable (_ worker: Int, _ sequence: Int, Range<Int>) -> Void
    ) {
        let blocks = (frames[rate] + Self.block - 1) / Self.block
        let count = blocks * sequences
        let next = Atomic<Int>(0)
        Parallel.forEach(min(scratch.count, count)) { worker in
            while true {
                let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                guard index < count else { return }
                body(worker, index / blocks, self.range(index % blocks, rate))
            }
        }
    }
}

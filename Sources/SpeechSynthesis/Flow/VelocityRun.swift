// The flow's velocities for one call: memory for all steps, and what no step changes computed once. With
// guidance the conditioned and the free sequence are one batch. Every loop runs over blocks of rows, and a
// block goes through all layers that need no other rows before the next block starts.
//
// Legend: S sequences (1 or 2), T frames at the stage's rate, C channels, M mel bands.

import TensorCore

/// Computes velocities of one call, step by step.
final class VelocityRun: @unchecked Sendable {
    // Sendable because the threads of a loop write disjoint rows, and one caller runs the loops in turn.

    /// Rows of a block: whole tiles of the product kernel, whole panels of keys.
    static let block = 48

    let net: VelocityEstimator
    let sequences: Int
    /// Frames at each rate, the highest first.
    let frames: [Int]
    let memory = Workspace()
    /// Each stage's share of the time for each step: [steps, C].
    let times: [Tensor]
    /// What mu, speaker and condition give to the first stage's convolutions: [T, C].
    let given, givenAround: Tensor
    let firstConvolution, firstAround: Convolution1D

    /// For each rate the input of the way up: from below, beside the skip: [S T, C' + C].
    let joined: [Rows]
    /// Two streams a rate, [S T, C].
    let streams: [[Rows]]
    let hidden, inner: Rows
    let moments: UnsafeMutablePointer<Double>
    private(set) var queries: Rows?
    private(set) var panels: [[AttentionPanels]] = []
    let scratch: [Scratch]

    /// One thread's memory for a block of rows.
    struct Scratch {
        let normed, keysAndValues, mixed, inner: Rows
        let scores: UnsafeMutablePointer<Float>
    }

    /// Prepares a call; mu and condition are [T, M], `times` those of all steps.
    init(
        _ net: VelocityEstimator, mu: Tensor, speaker: [Float], condition: Tensor, isGuided: Bool,
        times: [Float]
    ) {
        self.net = net
        sequences = isGuided ? 2 : 1
        var frames = [mu.rows]
        for stage in net.down.dropLast() {
            frames.append(stage.exit.outputLength(frames[frames.count - 1]))
        }
        self.frames = frames
        let embedded = net.time(times).applying(.mish)
        self.times = net.stages.map { $0.residual.time(embedded) }
        let bands = net.output.outputs
        let (first, around) = (
            net.stages[0].residual.first.convolution, net.stages[0].residual.residual
        )
        let voice = Tensor(
            shape: [mu.rows, speaker.count], values: (0..<mu.rows).flatMap { _ in speaker })
        let known = Tensor.concatenatedColumns([mu, voice, condition])
        given = first.restricted(toInputs: bands..<first.inputs, bias: false)(known)
        givenAround = around.restricted(toInputs: bands..<first.inputs, bias: false)(known)
        firstConvolution = first.restricted(toInputs: 0..<bands, bias: true)
        firstAround = around.restricted(toInputs: 0..<bands, bias: true)

        let (count, memory) = (sequences, memory)
        let widest = net.stages.reduce(0) { max($0, $1.width) }
        joined = frames.indices.map { rate in
            let up = net.up[net.up.count - 1 - rate]
            return memory.rows(count * frames[rate], up.residual.first.convolution.inputs)
        }
        streams = frames.map { rows in (0..<2).map { _ in memory.rows(count * rows, widest) } }
        hidden = memory.rows(count * frames[0], widest)
        inner = memory.rows(count * frames[0], widest)
        let blocks = (frames[0] + Self.block - 1) / Self.block
        moments = memory.values(count * blocks * 2 * widest, of: 0)
        let layers = net.stages.flatMap(\.transformers)
        let mixed = layers.reduce(0) { max($0, $1.query.weight.outputs) }
        let expanded = layers.reduce(0) { max($0, $1.expansion.weight.outputs) }
        if let layer = layers.first {
            queries = memory.rows(count * frames[0], mixed)
            panels = frames.map { rows in
                (0..<2).map { _ in
                    AttentionPanels(
                        sequences: count, heads: layer.heads, rows: rows, width: layer.headWidth)
                }
            }
        }
        let columns = panels.first?.first?.scoreColumns ?? 0
        scratch = (0..<Parallel.threadCount).map { _ in
            Scratch(
                normed: memory.rows(Self.block, widest),
                keysAndValues: memory.rows(Self.block, 2 * mixed),
                mixed: memory.rows(Self.block, max(mixed, bands)),
                inner: memory.rows(Self.block, max(expanded, bands)),
                scores: memory.values(Self.block * (columns + 1), of: 0))
        }
    }

    /// The velocities of a state [T, M] at step number `step`.
    ///
    /// `take` gets each block of rows with its conditioned velocity and the free one, on any thread.
    func velocities(
        of state: Rows, step: Int,
        take: @Sendable (_ rows: Range<Int>, _ conditioned: Rows, _ free: Rows?) -> Void
    ) {
        let lowest = frames.count - 1
        var number = 0
        var input = state
        for (rate, stage) in net.down.enumerated() {
            let skip = joined[rate]
            let output = skip.columns(skip.columns - stage.width..<skip.columns)
            run(stage, number, step: step, rate: rate, input: input, output: output)
            number += 1
            let next = min(rate + 1, lowest)
            let isEnd = rate == lowest && net.middle.isEmpty
            input =
                isEnd
                ? joined[next].columns(0..<stage.width) : streams[next][0].columns(0..<stage.width)
            leave(stage, from: output, rate: rate, to: input, rate: next)
        }
        for (index, stage) in net.middle.enumerated() {
            let isEnd = index == net.middle.count - 1
            let target = isEnd ? joined[lowest] : streams[lowest][(index + 1) % 2]
            let output = target.columns(0..<stage.width)
            run(stage, number, step: step, rate: lowest, input: input, output: output)
            number += 1
            input = output
        }
        for (index, stage) in net.up.enumerated() {
            let rate = lowest - index
            let output = streams[rate][0].columns(0..<stage.width)
            run(stage, number, step: step, rate: rate, input: joined[rate], output: output)
            number += 1
            let next = max(rate - 1, 0)
            let target = rate == 0 ? streams[0][1] : joined[next]
            input = target.columns(0..<stage.width)
            leave(stage, from: output, rate: rate, to: input, rate: next)
        }
        finish(input, take)
    }

    /// The exit of a stage, from one rate to another.
    private func leave(
        _ stage: VelocityEstimator.Stage, from: Rows, rate: Int, to: Rows, rate next: Int
    ) {
        forEachBlock(next) { _, sequence, range in
            stage.exit.apply(
                range, of: self.part(from, sequence, rate),
                into: self.part(to, sequence, next).rows(range))
        }
    }

    /// The final block and the output.
    private func finish(
        _ input: Rows, _ take: @Sendable (Range<Int>, Rows, Rows?) -> Void
    ) {
        let block = net.finalBlock
        let middle = compact(hidden, block.convolution.outputs, 0)
        convolve(block.convolution, input, into: middle, rate: 0)
        let norms = affine(block.norm, 0)
        let bands = net.output.outputs
        // A block's rows of all sequences belong together here.
        let blocks = (frames[0] + Self.block - 1) / Self.block
        Parallel.forEach(min(scratch.count, blocks)) { worker in
            for index in stride(from: worker, to: blocks, by: min(self.scratch.count, blocks)) {
                let range = self.range(index, 0)
                let place = self.scratch[worker]
                let results = [place.mixed, place.inner].map { self.compact($0, bands, range) }
                for sequence in 0..<self.sequences {
                    let rows = self.part(middle, sequence, 0).rows(range)
                    rows.normalizeAndMish(
                        scale: norms[sequence].scale, shift: norms[sequence].shift)
                    self.net.output.apply(0..<range.count, of: rows, into: results[sequence])
                }
                take(range, results[0], self.sequences > 1 ? results[1] : nil)
            }
        }
    }

    /// A stage: input [S T, C'] (of the first stage the state [T, M]) to output [S T, C].
    private func run(
        _ stage: VelocityEstimator.Stage, _ number: Int, step: Int, rate: Int, input: Rows,
        output: Rows
    ) {
        let (residual, width) = (stage.residual, stage.width)
        let (first, second) = (compact(hidden, width, rate), compact(inner, width, rate))
        if number == 0 {
            convolveState(input, into: first)
        } else {
            convolve(residual.first.convolution, input, into: first, rate: rate)
        }
        var norms = affine(residual.first.norm, rate)
        let time = times[number].row(step)
        forEachBlock(rate) { [norms] _, sequence, range in
            self.part(first, sequence, rate).rows(range).normalizeAndMish(
                scale: norms[sequence].scale, shift: norms[sequence].shift, offset: time)
        }
        convolve(residual.second.convolution, first, into: second, rate: rate)
        norms = affine(residual.second.norm, rate)
        forEachBlock(rate) { [norms] worker, sequence, range in
            let target = self.part(output, sequence, rate).rows(range)
            let rows = self.part(second, sequence, rate).rows(range)
            rows.normalizeAndMish(scale: norms[sequence].scale, shift: norms[sequence].shift)
            let end = ProductEnd(addend: rows)
            if number == 0 {
                self.firstAround.apply(range, of: input, into: target, end: end)
                if sequence == 0 {
                    self.givenAround.withRows { target.add($0.rows(range)) }
                }
            } else {
                residual.residual.apply(
                    range, of: self.part(input, sequence, rate), into: target, end: end)
            }
            if let layer = stage.transformers.first {
                self.project(layer, target, worker, sequence, range, rate: rate, set: 0)
            }
        }
        for (index, layer) in stage.transformers.enumerated() {
            let next =
                index + 1 < stage.transformers.count ? stage.transformers[index + 1] : nil
            forEachBlock(rate) { worker, sequence, range in
                let target = self.part(output, sequence, rate).rows(range)
                self.attend(layer, target, worker, sequence, range, rate: rate, set: index % 2)
                self.feedForward(layer, target, worker)
                if let next {
                    self.project(
                        next, target, worker, sequence, range, rate: rate, set: (index + 1) % 2)
                }
            }
        }
    }
}

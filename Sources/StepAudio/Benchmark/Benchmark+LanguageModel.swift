// Prompts and token steps of a language model, through the engine.

import Checkpoints
import LanguageModel
import LanguageModelInterface
import Synchronization
import TensorCore

extension Benchmark {
    /// A network to measure, with the bytes of one layer and of the output's rows that are read.
    private struct Subject {
        let engine: EmbeddedEngine
        let configuration: LanguageModelConfiguration
        let layersOfShape: Int
        let precision: WeightPrecision
        /// The ids that may be drawn: the speech model reads only the audio rows of its output.
        let candidates: Range<Int>?

        /// Weights that one step multiplies.
        var weights: Int {
            let c = configuration
            let keys = c.keyValueHeads * c.headSize
            let layer =
                2 * c.hiddenSize * (c.hiddenSize + keys) + 3 * c.hiddenSize * c.intermediateSize
            return c.layers * layer + (candidates?.count ?? c.vocabularySize) * c.hiddenSize
        }

        /// Bytes that one step reads beside keys and values.
        var bytes: Int {
            let outputs = candidates?.count ?? configuration.vocabularySize
            return configuration.layers
                * RandomWeights.bytes(configuration, precision: precision).layer
                + precision.forHead.byteCount(outputs: outputs, inputs: configuration.hiddenSize)
        }

        /// Bytes of one token's keys and values.
        var cacheBytes: Int {
            2 * configuration.layers * configuration.keyValueHeads * configuration.headSize
                * precision.forCache.bits / 8
        }
    }

    func measureLanguageModel(
        _ shape: Shape, _ precision: WeightPrecision, _ machine: BenchmarkReport.Machine,
        _ results: inout [BenchmarkReport.Result]
    ) async throws {
        guard options.stages.contains(.prefill) || options.stages.contains(.decode) else { return }
        progress("making \(shape.rawValue) in \(precision.rawValue)")
        let subject = try subject(shape, precision)
        for context in options.contexts {
            if options.stages.contains(.prefill) {
                progress("\(shape.rawValue) \(precision.rawValue) prefill \(context)")
                results.append(try await prefill(subject, shape, context, machine))
            }
            for batch in options.batches where options.stages.contains(.decode) {
                progress(
                    "\(shape.rawValue) \(precision.rawValue) decode \(context), batch \(batch)")
                results.append(try await decode(subject, shape, context, batch, machine))
            }
        }
    }

    private func subject(_ shape: Shape, _ precision: WeightPrecision) throws -> Subject {
        guard shape != .pocket else {
            let files = try locations.layout.speechLanguageModel()
            let model = try Step1Model(directory: files.folder, precision: precision)
            let c = model.configuration
            return Subject(
                engine: EmbeddedEngine(model), configuration: c, layersOfShape: c.layers,
                precision: precision, candidates: nil)
        }
        var c = shape.configuration
        let all = c.layers
        let (layer, rest) = RandomWeights.bytes(c, precision: precision)
        if let free = ProcessMemory.available {
            let room = free - free / 5 - rest
            guard room >= layer else {
                throw StepAudioError.memoryTooSmall(
                    needed: rest + layer, available: free, precision: precision.rawValue,
                    fitting: nil)
            }
            c.layers = min(all, room / layer)
        }
        c.layers = min(c.layers, options.layers ?? all)
        let model = try RandomWeights.languageModel(c, precision: precision)
        return Subject(
            engine: EmbeddedEngine(model), configuration: c, layersOfShape: all,
            precision: precision, candidates: shape == .tts3B ? 65_536..<70_656 : nil)
    }

    private func request(
        _ subject: Subject, context: Int, tokens: Int, seed: inout UInt64
    ) -> GenerationRequest {
        seed += 1
        var random = SeededGenerator(seed: seed)
        let prompt = (0..<context).map { _ in
            Int(random.uniform() * Double(subject.configuration.vocabularySize))
        }
        return GenerationRequest(
            prompt: prompt, sampling: SamplingOptions(temperature: 0), stopIDs: [],
            maximumNewTokens: tokens, candidates: subject.candidates)
    }

    /// Time until the prompt is processed; every run has another prompt, so that nothing is reused.
    private func prefill(
        _ subject: Subject, _ shape: Shape, _ context: Int, _ machine: BenchmarkReport.Machine
    ) async throws -> BenchmarkReport.Result {
        var seed: UInt64 = 100
        var work = 0
        let times = try await times {
            let request = request(subject, context: context, tokens: 1, seed: &seed)
            _ = WorkCounter.take()
            for try await event in subject.engine.generate(request) {
                if case .prefill = event { break }
            }
            work = WorkCounter.take()
        }
        var result = result(
            .prefill, shape, subject.precision, context: context, times: times)
        let operations = 2 * Double(work) / result.seconds / 1e9
        result.tokensPerSecond = Double(context) / result.seconds
        result.gigaflops = operations
        let (limit, peak) =
            switch subject.precision {
            case .int4: ("int4 products", machine.int4Gigaops)
            case .int8: ("int8 products", machine.int8Gigaops)
            case .bf16, .fp32: ("fp32 products", machine.fp32Gigaflops)
            }
        (result.limit, result.shareOfLimit) = (limit, operations / peak)
        return complete(result, subject)
    }

    /// Time of one step while all sequences decode: they go on until the one that starts last has its
    /// tokens.
    private func decode(
        _ subject: Subject, _ shape: Shape, _ context: Int, _ batch: Int,
        _ machine: BenchmarkReport.Machine
    ) async throws -> BenchmarkReport.Result {
        var seed: UInt64 = 1_000
        let steps = 8
        // While others generate, a prompt is computed in pieces.
        let longest = steps + 2 + batch * (context / 32 + 2)
        var perStep: [Double] = []
        for _ in 0...options.runs {
            let requests = (0..<batch).map { _ in
                request(subject, context: context, tokens: longest, seed: &seed)
            }
            let watch = DecodeWatch(sequences: batch, steps: steps)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, request) in requests.enumerated() {
                    group.addTask {
                        for try await event in subject.engine.generate(request) {
                            guard case .token = event else { continue }
                            if watch.sees(index) { return }
                        }
                    }
                }
                try await group.waitForAll()
            }
            perStep.append(watch.secondsPerStep)
        }
        var result = result(
            .decode, shape, subject.precision, batch: batch, context: context,
            times: perStep.dropFirst().sorted())
        let bytes = Double(subject.bytes + batch * (context + steps / 2) * subject.cacheBytes)
        result.tokensPerSecond = Double(batch) / result.seconds
        result.gigabytesPerSecond = bytes / result.seconds / 1e9
        result.gigaflops = 2 * Double(subject.weights * batch) / result.seconds / 1e9
        result.limit = "read bandwidth"
        result.shareOfLimit = bytes / result.seconds / 1e9 / machine.readGigabytesPerSecond
        return complete(result, subject)
    }

    private func complete(
        _ result: BenchmarkReport.Result, _ subject: Subject
    ) -> BenchmarkReport.Result {
        var result = result
        result.layers = subject.configuration.layers
        result.layersOfShape = subject.layersOfShape
        return result
    }
}

/// Times steps from the first token of the sequence that starts last.
private final class DecodeWatch: Sendable {
    private struct State {
        var counts: [Int]
        var start: ContinuousClock.Instant?
        var last = -1
        var end: ContinuousClock.Instant?
    }

    private let state: Mutex<State>
    private let steps: Int

    init(sequences: Int, steps: Int) {
        state = Mutex(State(counts: [Int](repeating: 0, count: sequences)))
        self.steps = steps
    }

    /// Takes note of a token of a sequence; true when nothing more has to be seen.
    func sees(_ sequence: Int) -> Bool {
        state.withLock { state in
            state.counts[sequence] += 1
            if state.start == nil, state.counts.allSatisfy({ $0 > 0 }) {
                (state.start, state.last) = (.now, sequence)
            }
            if state.end == nil, sequence == state.last, state.counts[sequence] > steps {
                state.end = .now
            }
            return state.end != nil
        }
    }

    /// Seconds of one step.
    var secondsPerStep: Double {
        state.withLock { state in
            guard let start = state.start, let end = state.end else { return .infinity }
            let (seconds, attoseconds) = start.duration(to: end).components
            return (Double(seconds) + Double(attoseconds) * 1e-18) / Double(steps)
        }
    }
}

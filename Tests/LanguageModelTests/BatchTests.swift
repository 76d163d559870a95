// Batching changes nothing: random mixes of requests that join and leave at any time give, token for
// token, what each gives alone on a fresh engine, whatever prefixes are shared and however little memory
// there is.

import LanguageModel
import LanguageModelInterface
import TensorCore
import Testing

struct BatchTests {
    /// A request with a delay in tokens of the others before it joins.
    private struct Entry: Sendable {
        let request: GenerationRequest
        let delay: Int
    }

    private static func entries(seed: UInt64, count: Int) -> [Entry] {
        var generator = SeededGenerator(seed: seed)
        func number(_ range: Range<Int>) -> Int {
            range.lowerBound + Int(generator.uniform() * Double(range.count))
        }
        let prefix = (0..<70).map { _ in number(0..<91) }
        return (0..<count).map { index in
            // Some prompts share a prefix, some end inside a page, some are one token long.
            let shared = index % 3 == 0 ? 0 : number(1..<71)
            let own = (0..<number(1..<60)).map { _ in number(0..<91) }
            let sampling = SamplingOptions(
                temperature: index % 4 == 0 ? 0 : 1.3, topP: index % 5 == 0 ? 0.8 : 1,
                topK: index % 7 == 0 ? 12 : 0, repetitionRule: index % 2 == 0,
                seed: UInt64(index))
            return Entry(
                request: GenerationRequest(
                    prompt: Array(prefix.prefix(shared)) + own, sampling: sampling,
                    stopIDs: index % 3 == 1 ? [number(0..<91)] : [],
                    maximumNewTokens: number(1..<50),
                    candidates: index % 4 == 2 ? 20..<61 : nil),
                delay: number(0..<6))
        }
    }

    private static func run(
        _ engine: EmbeddedEngine, _ request: GenerationRequest
    ) async throws -> [GenerationEvent] {
        var events: [GenerationEvent] = []
        for try await event in engine.generate(request) { events.append(event) }
        return events
    }

    private static func together(
        _ engine: EmbeddedEngine, _ entries: [Entry]
    ) async throws -> [[GenerationEvent]] {
        try await withThrowingTaskGroup(of: (Int, [GenerationEvent]).self) { group in
            for (index, entry) in entries.enumerated() {
                group.addTask {
                    try await Task.sleep(for: .microseconds(entry.delay * 300))
                    return (index, try await run(engine, entry.request))
                }
            }
            var results = [[GenerationEvent]](repeating: [], count: entries.count)
            for try await (index, events) in group { results[index] = events }
            return results
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func mixesGiveWhatEachGivesAlone(seed: UInt64) async throws {
        let model = try TinyModel.make()
        let entries = Self.entries(seed: seed, count: 14)
        let engine = EmbeddedEngine(model)
        // Twice: the second time prefixes are known.
        for _ in 0..<2 {
            let results = try await Self.together(engine, entries)
            for (entry, result) in zip(entries, results) {
                let alone = try await Self.run(EmbeddedEngine(model), entry.request)
                #expect(result == alone)
            }
        }
        #expect(engine.statistics.largestBatch > 1)
        #expect(engine.statistics.prefixes.hits > 0)
        #expect(engine.statistics.reusedTokens > 0)
        #expect(engine.statistics.running == 0 && engine.statistics.waiting == 0)
    }

    @Test func aBatchOfWholeWeightsAndOfRoundedOnes() async throws {
        let model = try TinyModel.make(precision: .bf16)
        let entries = Self.entries(seed: 9, count: 9)
        let results = try await Self.together(EmbeddedEngine(model), entries)
        for (entry, result) in zip(entries, results) {
            #expect(result == (try await Self.run(EmbeddedEngine(model), entry.request)))
        }
    }

    @Test func littleMemoryMakesRequestsWaitAndChangesNothing() async throws {
        let model = try TinyModel.make()
        // The least there is: one request of full length.
        let small = EngineLimits(cacheBytes: 1, batch: 16)
        let engine = EmbeddedEngine(model, limits: small)
        let entries = (0..<16).map { index in
            Entry(
                request: GenerationRequest(
                    prompt: (0..<40).map { ($0 * (index + 3)) % 91 },
                    sampling: SamplingOptions(temperature: 1, seed: UInt64(index)), stopIDs: [],
                    maximumNewTokens: 60), delay: 0)
        }
        let results = try await Self.together(engine, entries)
        for (entry, result) in zip(entries, results) {
            #expect(result == (try await Self.run(EmbeddedEngine(model), entry.request)))
        }
        #expect(engine.statistics.preemptions > 0)
        let page = 2 * 3 * 32 * 10 * 4
        #expect(engine.statistics.cacheBytes <= 14 * page)
    }

    @Test func aPrefixIsComputedOnce() async throws {
        let engine = EmbeddedEngine(try TinyModel.make())
        let prefix = (0..<100).map { $0 * 7 % 91 }
        let entries = (0..<6).map { index in
            Entry(
                request: GenerationRequest(
                    prompt: prefix + [index, index + 1],
                    sampling: SamplingOptions(temperature: 0), stopIDs: [], maximumNewTokens: 3),
                delay: 0)
        }
        _ = try await Self.together(engine, entries)
        let statistics = engine.statistics
        #expect(statistics.promptTokens + statistics.reusedTokens == 6 * 102)
        // 96 tokens are whole pages; what lies behind them is computed or copied.
        #expect(statistics.promptTokens <= 102 + 5 * 6)
        #expect(statistics.prefixes.hits == 5 && statistics.prefixes.misses == 1)
    }

    /// A conversation's next turn finds the last answer ready, and says the same as without it.
    @Test(arguments: WeightPrecision.allCases)
    func anAnswerBeginsTheNextPrompt(precision: WeightPrecision) async throws {
        let model = try TinyModel.make(precision: precision)
        let engine = EmbeddedEngine(model)
        var request = GenerationRequest(
            prompt: (0..<37).map { $0 * 5 % 91 },
            sampling: SamplingOptions(temperature: 1, seed: 3),
            stopIDs: [], maximumNewTokens: 45, keepsAnswer: true)
        let answer = try await Self.run(engine, request).compactMap {
            if case .token(let id) = $0 { id } else { nil }
        }
        #expect(answer.count == 45)
        request.prompt += answer + [3, 14, 15]
        let before = engine.statistics
        let next = try await Self.run(engine, request)
        // All but the last token drawn, which was never computed, and the new ones.
        #expect(engine.statistics.reusedTokens - before.reusedTokens == 37 + 44)
        #expect(engine.statistics.promptTokens - before.promptTokens == 4)
        #expect(next == (try await Self.run(EmbeddedEngine(model), request)))
    }

    /// Token by token, in pieces or at once: the same bits.
    @Test(arguments: WeightPrecision.allCases)
    func splitsDoNotMatter(precision: WeightPrecision) throws {
        let model = try TinyModel.make(precision: precision)
        let ids = (0..<150).map { $0 * 11 % 91 }
        let whole = model.hidden(ids, cache: model.makeCache())
        for sizes in [[150], [1], [7], [64], [33, 1, 1, 80], [149, 1]] {
            let cache = model.makeCache()
            var (start, turn) = (0, 0)
            var rows: [Float] = []
            while start < ids.count {
                let end = min(ids.count, start + sizes[turn % sizes.count])
                rows += model.hidden(Array(ids[start..<end]), cache: cache).values
                (start, turn) = (end, turn + 1)
            }
            #expect(rows == whole.values, "\(sizes)")
        }
    }

    @Test func aLeftRequestFreesItsPages() async throws {
        let engine = EmbeddedEngine(try TinyModel.make(context: 20_000))
        let request = GenerationRequest(
            prompt: [1, 2, 3], sampling: SamplingOptions(temperature: 1), stopIDs: [],
            maximumNewTokens: 19_000)
        var seen = 0
        for try await event in engine.generate(request) {
            if case .token = event { seen += 1 }
            if seen == 200 { break }
        }
        for _ in 0..<200 where engine.statistics.running > 0 {
            try await Task.sleep(for: .milliseconds(5))
        }
        let statistics = engine.statistics
        #expect(statistics.running == 0)
        #expect(statistics.generatedTokens < 19_000)
        // The prompt's page and the few that are kept for the next request.
        #expect(statistics.cacheBytes <= 17 * 2 * 3 * 32 * 10 * 4)
    }

    /// A long prompt does not stop those who generate: they get tokens while it is computed.
    @Test func aLongPromptDoesNotStopTheOthers() async throws {
        let engine = EmbeddedEngine(try TinyModel.make(context: 200_000))
        let short = GenerationRequest(
            prompt: [4, 5], sampling: SamplingOptions(temperature: 1), stopIDs: [],
            maximumNewTokens: 190_000)
        let long = GenerationRequest(
            prompt: (0..<4000).map { $0 % 91 }, sampling: SamplingOptions(temperature: 0),
            stopIDs: [], maximumNewTokens: 1)
        let other = Task { try await Self.run(engine, short).count }
        while engine.statistics.generatedTokens < 5 {
            try await Task.sleep(for: .milliseconds(1))
        }
        let start = engine.statistics.steps
        _ = try await Self.run(engine, long)
        // 4000 tokens in pieces of 64 are 62 steps, each with a token for the other request.
        #expect(engine.statistics.steps - start >= 55)
        other.cancel()
        _ = try? await other.value
    }
}

/// The products under the batches: a row's bits do not depend on the number of rows.
struct RowProductTests {
    @Test(arguments: WeightPrecision.allCases)
    func aRowIsTheSameInAnyCompany(precision: WeightPrecision) {
        var generator = SeededGenerator(seed: 3)
        for (outputs, inputs) in [(7, 5), (91, 30), (64, 300), (515, 97), (200, 1111)] {
            let weights = WeightMatrix(
                outputs: outputs, inputs: inputs, values: generator.normals(outputs * inputs),
                precision: precision)
            for rows in [1, 2, 3, 4, 5, 8, 13, 40] {
                let x = Tensor(shape: [rows, inputs], values: generator.normals(rows * inputs))
                let whole = weights.multiply(x)
                for row in 0..<rows {
                    let alone = weights.multiply(x.rows(row..<row + 1))
                    #expect(alone.values == whole.row(row))
                }
                let part = weights.multiply(x, range: 2..<6)
                #expect(part.row(rows - 1) == Array(whole.row(rows - 1)[2..<6]))
            }
        }
    }
}

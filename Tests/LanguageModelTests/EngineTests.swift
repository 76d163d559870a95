// The embedded engine: greedy text, stop ids, limits, kept prefixes, cancellation, bad requests.

import LanguageModel
import LanguageModelInterface
import Testing

struct EngineTests {
    private func run(
        _ engine: EmbeddedEngine, _ prompt: [Int], count: Int, temperature: Float = 0,
        seed: UInt64 = 0, stop: Set<Int> = [], candidates: Range<Int>? = nil
    ) async throws -> (ids: [Int], reason: FinishReason?, prefill: Int) {
        let request = GenerationRequest(
            prompt: prompt, sampling: SamplingOptions(temperature: temperature, seed: seed),
            stopIDs: stop, maximumNewTokens: count, candidates: candidates)
        var result: (ids: [Int], reason: FinishReason?, prefill: Int) = ([], nil, 0)
        for try await event in engine.generate(request) {
            switch event {
            case .prefill(let tokens): result.prefill = tokens
            case .token(let id): result.ids.append(id)
            case .finished(let reason): result.reason = reason
            }
        }
        return result
    }

    private func greedy(_ model: Step1Model, _ prompt: [Int], count: Int) -> [Int] {
        var ids = prompt
        for _ in 0..<count {
            let hidden = model.hidden(ids, cache: model.makeCache())
            let logits = model.logits(hidden).row(hidden.rows - 1)
            ids.append(logits.firstIndex(of: logits.max() ?? 0) ?? 0)
        }
        return Array(ids[prompt.count...])
    }

    @Test func greedyIsTheArgmaxOfTheWhole() async throws {
        let model = try TinyModel.make()
        let result = try await run(EmbeddedEngine(model), [1, 2, 3], count: 9)
        #expect(result.ids == greedy(model, [1, 2, 3], count: 9))
        #expect(result.reason == .length)
        #expect(result.prefill == 3)
    }

    @Test func keptPrefixesChangeNothing() async throws {
        let model = try TinyModel.make()
        let engine = EmbeddedEngine(model)
        let prompts = [[1, 2, 3, 4, 5], [1, 2, 3, 9], [1, 2, 3, 9], [8], [1, 2, 3, 4, 5]]
        for prompt in prompts {
            let result = try await run(engine, prompt, count: 5)
            #expect(result.ids == greedy(model, prompt, count: 5))
        }
    }

    @Test func aStopIDEndsAndIsNotEmitted() async throws {
        let model = try TinyModel.make()
        let whole = greedy(model, [1, 2, 3], count: 9)
        let stop = whole[4]
        let result = try await run(EmbeddedEngine(model), [1, 2, 3], count: 9, stop: [stop])
        let expected = Array(whole.prefix { $0 != stop })
        #expect(result.ids == expected)
        #expect(result.reason == .stop)
    }

    @Test func candidatesBoundTheDrawsAndStopIDsRemain() async throws {
        let engine = EmbeddedEngine(try TinyModel.make())
        let free = try await run(
            engine, [4], count: 60, temperature: 3, seed: 5, candidates: 30..<40)
        #expect(free.ids.count == 60)
        #expect(free.ids.allSatisfy { (30..<40).contains($0) })
        let stopped = try await run(
            engine, [4], count: 300, temperature: 3, seed: 5, stop: [2], candidates: 30..<40)
        #expect(stopped.reason == .stop)
        #expect(stopped.ids.allSatisfy { (30..<40).contains($0) })
    }

    @Test func theSeedDecides() async throws {
        let engine = EmbeddedEngine(try TinyModel.make())
        let first = try await run(engine, [1], count: 20, temperature: 1, seed: 1).ids
        #expect(try await run(engine, [1], count: 20, temperature: 1, seed: 1).ids == first)
        #expect(try await run(engine, [1], count: 20, temperature: 1, seed: 2).ids != first)
    }

    @Test func theContextEndsTheAnswer() async throws {
        let engine = EmbeddedEngine(try TinyModel.make())
        let prompt = (0..<395).map { $0 % 91 }
        let result = try await run(engine, prompt, count: 50)
        #expect(result.reason == .length)
        #expect(result.ids.count == 5)
    }

    @Test(
        arguments: [
            ([], 5, nil, "the prompt has no tokens"),
            ([91], 5, nil, "prompt id 91 is outside the vocabulary of 91"),
            ([-1], 5, nil, "prompt id -1 is outside the vocabulary of 91"),
            ([1], 0, nil, "the token limit is 0; accepted: 1 or more"),
            (
                Array(repeating: 1, count: 400), 5, nil,
                "the prompt has 400 tokens; the model's context holds 400"
            ),
            (
                [1], 5, 80..<92,
                "the candidates are 80..<92; accepted: ids within 0..<91, at least one"
            ),
            ([1], 5, 7..<7, "the candidates are 7..<7; accepted: ids within 0..<91, at least one"),
        ] as [([Int], Int, Range<Int>?, String)])
    func refusesBadRequests(
        prompt: [Int], count: Int, candidates: Range<Int>?, message: String
    ) async throws {
        let engine = EmbeddedEngine(try TinyModel.make())
        let error = await #expect(throws: LanguageModelError.self) {
            try await run(engine, prompt, count: count, candidates: candidates)
        }
        #expect(error?.description == message)
    }

    @Test func cancellingEndsTheWork() async throws {
        // Long enough that it cannot be done before the third token is seen.
        let engine = EmbeddedEngine(try TinyModel.make(context: 50_000))
        let task = Task {
            var count = 0
            let request = GenerationRequest(
                prompt: [1], sampling: SamplingOptions(temperature: 1), stopIDs: [],
                maximumNewTokens: 49_990)
            for try await event in engine.generate(request) {
                if case .token = event { count += 1 }
                if count == 3 { withUnsafeCurrentTask { $0?.cancel() } }
            }
            return count
        }
        let count = try await task.value
        #expect(count >= 3 && count < 49_990)
        // The engine takes the next request as if nothing had been.
        #expect(try await run(engine, [1, 2, 3], count: 2).ids.count == 2)
    }
}

// What every engine behind the language-model protocol has to do, embedded or on a server.

import LanguageModelInterface

/// Checks an engine; each check throws what was wrong.
package struct EngineContract: Sendable {
    package struct Violation: Error, CustomStringConvertible {
        package let description: String
    }

    /// An error with this description.
    package static func failed(_ reason: String) -> Violation { Violation(description: reason) }

    let engine: any LanguageModelEngine
    let prompt: [Int]

    /// `prompt` must leave room for 40 tokens.
    package init(_ engine: any LanguageModelEngine, prompt: [Int]) {
        self.engine = engine
        self.prompt = prompt
    }

    private func require(_ holds: Bool, _ reason: @autoclosure () -> String) throws {
        guard holds else { throw Violation(description: reason()) }
    }

    private func run(
        temperature: Float = 0, seed: UInt64 = 0, stops: Set<Int> = [], count: Int = 12,
        candidates: Range<Int>? = nil
    ) async throws -> (ids: [Int], reason: FinishReason?) {
        let request = GenerationRequest(
            prompt: prompt, sampling: SamplingOptions(temperature: temperature, seed: seed),
            stopIDs: stops, maximumNewTokens: count, candidates: candidates)
        var ids: [Int] = []
        var reason: FinishReason?
        var isFirst = true
        for try await event in engine.generate(request) {
            try require(reason == nil, "an event after the end")
            switch event {
            case .prefill(let tokens):
                try require(isFirst && tokens == prompt.count, "prefill of \(tokens) tokens")
            case .token(let id): ids.append(id)
            case .finished(let end): reason = end
            }
            isFirst = false
        }
        return (ids, reason)
    }

    package func greedyIsRepeatable() async throws {
        let first = try await run()
        let second = try await run()
        try require(first.ids == second.ids, "\(first.ids) and \(second.ids)")
        try require(first.ids.allSatisfy { $0 < engine.vocabularySize }, "\(first.ids)")
    }

    package func theLimitHolds() async throws {
        for count in [1, 5] {
            let answer = try await run(count: count)
            try require(
                answer.ids.count == count && answer.reason == .length, "\(count): \(answer)")
        }
    }

    package func stopIDsEndAndAreNotEmitted() async throws {
        let whole = try await run(count: 20).ids
        guard
            let index = whole.indices.dropFirst().first(where: { !whole[..<$0].contains(whole[$0]) }
            )
        else { throw Violation(description: "one token only: \(whole)") }
        let answer = try await run(stops: [whole[index]], count: 20)
        try require(
            answer.ids == Array(whole[..<index]) && answer.reason == .stop,
            "\(answer) of \(whole) at \(index)")
    }

    package func theSeedDecides() async throws {
        let first = try await run(temperature: 2, seed: 1)
        let second = try await run(temperature: 2, seed: 1)
        let other = try await run(temperature: 2, seed: 2)
        try require(first.ids == second.ids, "one seed: \(first.ids) and \(second.ids)")
        try require(first.ids != other.ids, "two seeds: \(first.ids)")
    }

    package func onlyCandidatesAreDrawn() async throws {
        let answer = try await run(temperature: 2, candidates: 20..<24)
        try require(answer.ids.allSatisfy { (20..<24).contains($0) }, "\(answer.ids)")
    }

    package func aPromptBeyondTheContextIsRefused() async throws {
        let long = GenerationRequest(
            prompt: Array(repeating: prompt[0], count: engine.contextLength + 1),
            sampling: SamplingOptions(), stopIDs: [], maximumNewTokens: 1)
        do {
            for try await event in engine.generate(long) {
                throw Violation(description: "\(event)")
            }
        } catch let error as Violation {
            throw error
        } catch {
            return
        }
        throw Violation(description: "an empty answer")
    }

    package func leavingEarlyHarmsNobody() async throws {
        let request = GenerationRequest(
            prompt: prompt, sampling: SamplingOptions(temperature: 0), stopIDs: [],
            maximumNewTokens: 40)
        for try await event in engine.generate(request) {
            if case .token = event { break }
        }
        try await greedyIsRepeatable()
    }

    package func manyAtOnceGetWhatOneGets() async throws {
        let alone = try await run().ids
        let answers = try await withThrowingTaskGroup(of: [Int].self) { group in
            for _ in 0..<6 { group.addTask { try await run().ids } }
            return try await group.reduce(into: [[Int]]()) { $0.append($1) }
        }
        try require(answers.allSatisfy { $0 == alone }, "\(answers) and \(alone)")
    }

    /// Every check by name.
    package static let checks:
        [(name: String, run: @Sendable (EngineContract) async throws -> Void)] = [
            ("greedy is repeatable", { try await $0.greedyIsRepeatable() }),
            ("the limit holds", { try await $0.theLimitHolds() }),
            ("stop ids end and are not emitted", { try await $0.stopIDsEndAndAreNotEmitted() }),
            ("the seed decides", { try await $0.theSeedDecides() }),
            ("only candidates are drawn", { try await $0.onlyCandidatesAreDrawn() }),
            (
                "a prompt beyond the context is refused",
                { try await $0.aPromptBeyondTheContextIsRefused() }
            ),
            ("leaving early harms nobody", { try await $0.leavingEarlyHarmsNobody() }),
            ("many at once get what one gets", { try await $0.manyAtOnceGetWhatOneGets() }),
        ]
}

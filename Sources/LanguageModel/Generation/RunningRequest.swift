// One request inside the embedded engine: what it has, what is computed, how its next token is drawn.

import LanguageModelInterface
import Synchronization
import TensorCore

/// The side of a request that other threads see.
final class RequestHandle: Sendable {
    let request: GenerationRequest
    let sampler: Sampler
    let continuation: AsyncThrowingStream<GenerationEvent, any Error>.Continuation
    private let engine: any LanguageModelEngine  // lives as long as its requests
    private let isLeft = Atomic<Bool>(false)

    init(
        _ request: GenerationRequest, sampler: Sampler,
        continuation: AsyncThrowingStream<GenerationEvent, any Error>.Continuation,
        engine: any LanguageModelEngine
    ) {
        self.engine = engine
        self.request = request
        self.sampler = sampler
        self.continuation = continuation
    }

    /// Nobody listens any more.
    func cancel() { isLeft.store(true, ordering: .relaxed) }

    var isCancelled: Bool { isLeft.load(ordering: .relaxed) }
}

/// A request on the engine's thread.
final class RunningRequest {
    let handle: RequestHandle
    let cache: KeyValueCache
    /// Prompt, then the tokens drawn so far.
    var ids: [Int]
    /// Tokens drawn so far.
    var produced = 0
    private var sampler: Sampler
    private let stops: [Int]
    /// Ids that may be drawn beside the stop ids.
    let candidates: Range<Int>

    init(_ handle: RequestHandle, cache: KeyValueCache, vocabularySize: Int) {
        self.handle = handle
        self.cache = cache
        ids = handle.request.prompt
        sampler = handle.sampler
        let range = handle.request.candidates ?? 0..<vocabularySize
        candidates = range
        // Stop ids outside the candidates can still be drawn: their logits stand in front.
        stops = handle.request.stopIDs.filter { !range.contains($0) && 0..<vocabularySize ~= $0 }
            .sorted()
    }

    var prompt: [Int] { handle.request.prompt }

    /// What of the prompt is not computed yet.
    var openPrompt: Range<Int> { min(cache.count, prompt.count)..<prompt.count }

    /// What of the answer is known but not computed; the newest token always is, more only after the
    /// request had to give its memory away.
    var openAnswer: Range<Int> { max(cache.count, prompt.count)..<max(ids.count, prompt.count) }

    /// Draws the next id; nil when the logits are not finite.
    func draw(_ logits: [Float], of hidden: [Float], model: Step1Model) -> Int? {
        guard !stops.isEmpty else {
            return sampler.next(logits, history: ids, firstID: candidates.lowerBound)
        }
        let state = Tensor(shape: [1, hidden.count], values: hidden)
        let outside = stops.map { model.logits(state, ids: $0..<$0 + 1).values[0] }
        let firstID = candidates.lowerBound - stops.count
        guard let drawn = sampler.next(outside + logits, history: ids, firstID: firstID) else {
            return nil
        }
        let index = drawn - firstID
        return index < stops.count ? stops[index] : drawn
    }

    func emit(_ event: GenerationEvent) { handle.continuation.yield(event) }
}

// The engine that runs a Step-1 network in this process. Requests queue and run one after the other
// on a thread of the engine's own, so that long computations never hold Swift's shared threads.

import Dispatch
import LanguageModelInterface
import Synchronization
import TensorCore

/// Runs generation requests on a network.
public final class EmbeddedEngine: LanguageModelEngine {
    /// The network.
    public let model: Step1Model
    private let queue: DispatchQueue
    private let kept: Mutex<Kept>

    /// The last sequence, whose longest common prefix with the next prompt is not computed again.
    private struct Kept: @unchecked Sendable {
        // Sendable because it is only touched inside the mutex, by the one request that runs.
        var ids: [Int] = []
        var cache: KeyValueCache
    }

    /// Tokens of a prompt that are processed as one batch.
    public static let prefillBlock = 256

    /// Wraps a network.
    public init(_ model: Step1Model) {
        self.model = model
        queue = DispatchQueue(label: "stepaudio.language-model", qos: .userInitiated)
        kept = Mutex(Kept(cache: model.makeCache()))
    }

    /// Number of ids.
    public var vocabularySize: Int { model.configuration.vocabularySize }
    /// Largest prompt plus answer.
    public var contextLength: Int { model.configuration.maximumSequenceLength }

    /// Bytes of the key-value cache that is kept between requests.
    public var cacheBytes: Int { kept.withLock { $0.cache.byteCount } }

    /// What the engine does now and has done so far.
    public var statistics: EngineStatistics {
        var result = EngineStatistics()
        result.cacheBytes = cacheBytes
        return result
    }

    /// Starts generating; errors in the request end the stream at once.
    public func generate(
        _ request: GenerationRequest
    ) -> AsyncThrowingStream<GenerationEvent, any Error> {
        AsyncThrowingStream { continuation in
            let isCancelled = Cancellation()
            continuation.onTermination = { _ in isCancelled.set() }
            queue.async {
                do {
                    try self.run(request, isCancelled) { continuation.yield($0) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
        }
    }

    private final class Cancellation: Sendable {
        private let flag = Atomic<Bool>(false)
        func set() { flag.store(true, ordering: .relaxed) }
        var isSet: Bool { flag.load(ordering: .relaxed) }
    }

    private func check(_ request: GenerationRequest) throws(LanguageModelError) {
        guard !request.prompt.isEmpty else { throw .emptyPrompt }
        if let bad = request.prompt.first(where: { !(0..<vocabularySize).contains($0) }) {
            throw .badID(bad, vocabularySize: vocabularySize)
        }
        guard request.prompt.count < contextLength else {
            throw .promptTooLong(tokens: request.prompt.count, contextLength: contextLength)
        }
        guard request.maximumNewTokens > 0 else { throw .badLimit(request.maximumNewTokens) }
        if let range = request.candidates,
            range.isEmpty || range.lowerBound < 0 || range.upperBound > vocabularySize
        {
            throw .badCandidates(range, vocabularySize: vocabularySize)
        }
    }

    private func run(
        _ request: GenerationRequest, _ isCancelled: Cancellation,
        _ emit: (GenerationEvent) -> Void
    ) throws {
        try check(request)
        var sampler = try Sampler(request.sampling)
        try kept.withLock { kept in
            let prompt = request.prompt
            let common = zip(kept.ids, prompt).prefix { $0 == $1 }.count
            let reused = min(common, prompt.count - 1, kept.cache.count)
            kept.cache.truncate(to: reused)
            kept.ids = Array(prompt.prefix(reused))
            var hidden: [Float] = []
            var position = reused
            while position < prompt.count {
                if isCancelled.isSet { throw CancellationError() }
                let end = min(position + Self.prefillBlock, prompt.count)
                let block = Array(prompt[position..<end])
                let states = model.hidden(block, cache: kept.cache)
                kept.ids += block
                hidden = states.row(states.rows - 1)
                position = end
            }
            emit(.prefill(tokens: prompt.count))
            var produced = 0
            while true {
                if isCancelled.isSet { throw CancellationError() }
                let id = try nextID(hidden, history: kept.ids, request, &sampler)
                if request.stopIDs.contains(id) {
                    emit(.finished(.stop))
                    return
                }
                emit(.token(id))
                produced += 1
                if produced >= request.maximumNewTokens || kept.ids.count + 1 >= contextLength {
                    emit(.finished(.length))
                    return
                }
                hidden = model.hidden([id], cache: kept.cache).row(0)
                kept.ids.append(id)
            }
        }
    }

    private func nextID(
        _ hidden: [Float], history: [Int], _ request: GenerationRequest, _ sampler: inout Sampler
    ) throws(LanguageModelError) -> Int {
        let range = request.candidates ?? 0..<vocabularySize
        var logits = model.logits(hidden, ids: range)
        var firstID = range.lowerBound
        // Stop ids outside the candidates can still be drawn: their logits stand in front.
        let stops = request.stopIDs.filter { !range.contains($0) && $0 < vocabularySize }.sorted()
        let outside = stops.map { model.logits(hidden, ids: $0..<$0 + 1)[0] }
        if !stops.isEmpty {
            logits = outside + logits
            firstID -= stops.count
        }
        guard let drawn = sampler.next(logits, history: history, firstID: firstID) else {
            throw .logitsNotFinite(position: history.count)
        }
        let index = drawn - firstID
        return index < stops.count ? stops[index] : drawn
    }
}

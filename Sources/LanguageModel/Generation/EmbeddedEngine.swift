// The engine that runs a Step-1 network in this process. All requests go through the network together,
// on a thread of the engine's own, so that long computations never hold Swift's shared threads.

import Foundation
import LanguageModelInterface
import Synchronization
import TensorCore

/// What an engine may take.
public struct EngineLimits: Sendable, Equatable {
    /// Bytes of the key-value pages, shared prefixes included; one request of full length always
    /// fits, whatever this says.
    public var cacheBytes: Int
    /// Requests that generate at once; more wait.
    public var batch: Int

    /// Makes limits.
    public init(cacheBytes: Int = 512_000_000, batch: Int = 32) {
        self.cacheBytes = cacheBytes
        self.batch = batch
    }
}

/// Runs generation requests on a network, all at once.
///
/// A request gives the same tokens whatever runs beside it and whatever ran before.
public final class EmbeddedEngine: LanguageModelEngine {
    /// The network.
    public let model: Step1Model
    private let inbox = Inbox()

    /// Wraps a network.
    public init(_ model: Step1Model, limits: EngineLimits = EngineLimits()) {
        self.model = model
        let inbox = inbox
        let thread = Thread { inbox.serve(model, limits) }
        thread.name = "stepaudio.language-model"
        thread.stackSize = 8 << 20
        thread.qualityOfService = .userInitiated
        thread.start()
    }

    deinit { inbox.close() }

    /// Number of ids.
    public var vocabularySize: Int { model.configuration.vocabularySize }
    /// Largest prompt plus answer.
    public var contextLength: Int { model.configuration.maximumSequenceLength }

    /// Bytes of the key-value pages that are allocated.
    public var cacheBytes: Int { statistics.cacheBytes }

    /// What the engine does now and has done so far.
    public var statistics: EngineStatistics { inbox.statistics }

    /// Starts generating; errors in the request end the stream at once.
    public func generate(
        _ request: GenerationRequest
    ) -> AsyncThrowingStream<GenerationEvent, any Error> {
        AsyncThrowingStream { continuation in
            do {
                try check(request)
                let handle = RequestHandle(
                    request, sampler: try Sampler(request.sampling), continuation: continuation,
                    engine: self)
                continuation.onTermination = { _ in handle.cancel() }
                inbox.add(handle)
            } catch {
                continuation.finish(throwing: error)
            }
        }
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
}

/// Where requests come in and figures go out; the engine's thread waits here when there is nothing to do.
private final class Inbox: @unchecked Sendable {
    // Sendable because everything is touched under the condition's lock only.
    /// Seconds without a token for the sake of urgent work.
    private static let longestBreak = 0.05

    private let condition = NSCondition()
    private var arrived: [RequestHandle] = []
    private var isClosed = false
    private var published = EngineStatistics()

    var statistics: EngineStatistics {
        condition.lock()
        defer { condition.unlock() }
        var result = published
        result.waiting += arrived.count
        return result
    }

    func add(_ handle: RequestHandle) {
        condition.lock()
        arrived.append(handle)
        condition.signal()
        condition.unlock()
    }

    func close() {
        condition.lock()
        isClosed = true
        condition.signal()
        condition.unlock()
    }

    /// The engine's thread: steps until the engine is gone.
    func serve(_ model: Step1Model, _ limits: EngineLimits) {
        let scheduler = BatchScheduler(model, limits: limits)
        while let fresh = next(scheduler) {
            for handle in fresh {
                scheduler.add(handle)
            }
            scheduler.step()
        }
        scheduler.cancelAll()
    }

    /// The requests that arrived since the last step, nil at the end; waits when the scheduler is idle.
    private func next(_ scheduler: BatchScheduler) -> [RequestHandle]? {
        condition.lock()
        defer { condition.unlock() }
        published = scheduler.statistics
        while arrived.isEmpty, scheduler.isIdle, !isClosed {
            condition.wait()
        }
        // It slows down, it never stops.
        let deadline = Date(timeIntervalSinceNow: Self.longestBreak)
        while arrived.isEmpty, !isClosed, scheduler.isAhead, ComputeThreads.hasUrgentWork,
            Date() < deadline
        {
            _ = condition.wait(until: Date(timeIntervalSinceNow: 0.001))
        }
        guard !isClosed else { return nil }
        defer { arrived = [] }
        return arrived
    }
}

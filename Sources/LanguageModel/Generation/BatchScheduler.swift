// The embedded engine's thread: requests join and leave between token steps. A step first advances every
// generating request by one token, as one batch through the network, then computes a piece of the
// prompts that wait, so that a long prompt does not stop the others.

import LanguageModelInterface
import TensorCore

/// Runs requests together; used by one thread.
final class BatchScheduler {
    /// Prompt tokens of a step when nobody generates, and when somebody does.
    static let (freePrefill, sharedPrefill) = (256, 64)
    /// Tokens a step computes again for requests that gave their memory away.
    static let replay = 64

    private let model: Step1Model
    private let pool: PagePool
    private let prefixes: PrefixIndex
    private let largestBatch: Int
    private var waiting: [RunningRequest] = []
    private var running: [RunningRequest] = []
    private(set) var statistics = EngineStatistics()

    init(_ model: Step1Model, limits: EngineLimits) {
        self.model = model
        let shape = model.pageShape
        // One request of full length always fits.
        let least = KeyValueCache.pages(for: model.configuration.maximumSequenceLength) + 1
        let pages = max(least, limits.cacheBytes / max(1, shape.bytes))
        pool = PagePool(shape: shape, limit: pages)
        prefixes = PrefixIndex(limit: max(1, pages / 2))
        largestBatch = max(1, limits.batch)
        statistics.prefixes.limitBytes = prefixes.limit * shape.bytes
    }

    var isIdle: Bool { waiting.isEmpty && running.isEmpty }

    /// Whether every request has the tokens that somebody waits for.
    var isAhead: Bool {
        waiting.isEmpty
            && running.allSatisfy { $0.produced >= $0.handle.request.urgentTokens ?? .max }
    }

    func add(_ handle: RequestHandle) {
        statistics.requests += 1
        waiting.append(
            RunningRequest(
                handle, cache: KeyValueCache(pool: pool),
                vocabularySize: model.configuration.vocabularySize))
    }

    /// One step of all requests.
    func step() {
        dropCancelled()
        admit()
        generate()
        prefill()
        updateStatistics()
    }

    /// Ends all requests.
    func cancelAll() {
        for request in running + waiting {
            request.handle.continuation.finish(throwing: CancellationError())
        }
        running = []
        waiting = []
    }

    // MARK: Coming and going

    private func dropCancelled() {
        for request in running + waiting where request.handle.isCancelled {
            end(request, throwing: CancellationError())
        }
    }

    private func admit() {
        while running.count < largestBatch, let next = waiting.first {
            let pages = KeyValueCache.pages(for: next.ids.count + 1)
            let free = pool.limit - pool.used + prefixes.count
            guard running.isEmpty || pages <= free else { return }
            running.append(waiting.removeFirst())
        }
    }

    private func end(_ request: RunningRequest, throwing error: (any Error)? = nil) {
        running.removeAll { $0 === request }
        waiting.removeAll { $0 === request }
        request.cache.clear()
        request.handle.continuation.finish(throwing: error)
    }

    private func finish(_ request: RunningRequest, _ reason: FinishReason) {
        if request.handle.request.keepsAnswer {
            let count = request.cache.count
            prefixes.insert(request.ids[..<count], pages: request.cache.pages, isWhole: true)
        }
        request.emit(.finished(reason))
        end(request)
    }

    /// Makes room for a request's tokens: old prefixes go first, then younger requests give way.
    private func reserve(_ tokens: Int, for request: RunningRequest) -> Bool {
        while !request.cache.reserve(tokens) {
            if prefixes.evict() { continue }
            guard let youngest = running.last, youngest !== request else {
                // It is the youngest itself: it waits until another one is done.
                if running.count > 1 { giveWay(request) }
                return false
            }
            giveWay(youngest)
        }
        return true
    }

    /// Takes a request's memory; it starts again later and computes the same once more.
    private func giveWay(_ request: RunningRequest) {
        running.removeAll { $0 === request }
        request.cache.clear()
        waiting.insert(request, at: 0)
        statistics.preemptions += 1
    }

    // MARK: One token each

    private func generate() {
        var batch: [(request: RunningRequest, ids: Range<Int>)] = []
        for request in running where request.openPrompt.isEmpty && !request.openAnswer.isEmpty {
            let open = request.openAnswer
            let ids = open.lowerBound..<min(open.upperBound, open.lowerBound + Self.replay)
            if running.contains(where: { $0 === request }), reserve(ids.upperBound, for: request) {
                batch.append((request, ids))
            }
        }
        batch.removeAll { entry in !running.contains { $0 === entry.request } }
        guard !batch.isEmpty else { return }
        let hidden = model.hidden(
            batch.map {
                Step1Model.Extension(ids: Array($0.request.ids[$0.ids]), cache: $0.request.cache)
            })
        var row = -1
        var drawing: [(RunningRequest, [Float])] = []
        for (request, ids) in batch {
            row += ids.count
            if ids.upperBound == request.ids.count {
                drawing.append((request, hidden.row(row)))
            }
        }
        statistics.steps += 1
        statistics.largestBatch = max(statistics.largestBatch, drawing.count)
        draw(drawing)
    }

    /// Draws the next token of requests whose newest hidden state is known.
    private func draw(_ states: [(request: RunningRequest, hidden: [Float])]) {
        var groups: [(range: Range<Int>, members: [Int])] = []
        for (index, state) in states.enumerated() {
            let range = state.request.candidates
            if let known = groups.firstIndex(where: { $0.range == range }) {
                groups[known].members.append(index)
            } else {
                groups.append((range, [index]))
            }
        }
        for (range, members) in groups {
            let rows = Tensor(
                shape: [members.count, model.configuration.hiddenSize],
                values: members.flatMap { states[$0].hidden })
            let logits = model.logits(rows, ids: range)
            for (row, member) in members.enumerated() {
                let (request, hidden) = states[member]
                take(request.draw(logits.row(row), of: hidden, model: model), for: request)
            }
        }
    }

    private func take(_ id: Int?, for request: RunningRequest) {
        guard let id else {
            return end(
                request, throwing: LanguageModelError.logitsNotFinite(position: request.ids.count))
        }
        if request.handle.request.stopIDs.contains(id) {
            return finish(request, .stop)
        }
        request.emit(.token(id))
        request.produced += 1
        statistics.generatedTokens += 1
        request.ids.append(id)
        if request.produced >= request.handle.request.maximumNewTokens
            || request.ids.count >= model.configuration.maximumSequenceLength
        {
            finish(request, .length)
        }
    }

    // MARK: Prompts

    private func prefill() {
        let isShared = running.contains { $0.openPrompt.isEmpty }
        var budget = isShared ? Self.sharedPrefill : Self.freePrefill
        var batch: [(request: RunningRequest, ids: Range<Int>)] = []
        for request in running where !request.openPrompt.isEmpty && budget > 0 {
            guard running.contains(where: { $0 === request }),
                start(request, behind: batch.map(\.request))
            else { continue }
            let open = request.openPrompt
            let ids = open.lowerBound..<min(open.upperBound, open.lowerBound + budget)
            guard reserve(ids.upperBound, for: request) else { continue }
            batch.append((request, ids))
            budget -= ids.count
        }
        batch.removeAll { entry in !running.contains { $0 === entry.request } }
        guard !batch.isEmpty else { return }
        let hidden = model.hidden(
            batch.map {
                Step1Model.Extension(ids: Array($0.request.prompt[$0.ids]), cache: $0.request.cache)
            })
        var row = -1
        var drawing: [(RunningRequest, [Float])] = []
        for (request, ids) in batch {
            row += ids.count
            statistics.promptTokens += ids.count
            let isWhole = request.openPrompt.isEmpty
            prefixes.insert(
                request.prompt[..<ids.upperBound], pages: request.cache.pages, isWhole: isWhole)
            if isWhole, request.produced == 0 {
                request.emit(.prefill(tokens: request.prompt.count))
                drawing.append((request, hidden.row(row)))
            }
        }
        draw(drawing)
    }

    /// Lets a prompt begin with what is known of it; false when another prompt of this step computes
    /// more of it, so that waiting is cheaper.
    private func start(_ request: RunningRequest, behind others: [RunningRequest]) -> Bool {
        guard request.cache.count == 0 else { return true }
        // The last token is always computed: its hidden state is not kept.
        let limit = request.prompt.count - 1
        let known = prefixes.match(request.prompt, limit: limit, counts: false).tokens
        for other in others {
            let common = zip(request.prompt, other.prompt).prefix { $0 == $1 }.count
            if min(common, limit) >= known + PageShape.tokens { return false }
        }
        let match = prefixes.match(request.prompt, limit: limit)
        if !request.cache.share(match.whole, tail: match.tail) {
            _ = request.cache.share(match.whole, tail: nil)
        }
        statistics.reusedTokens += request.cache.count
        return true
    }

    private func updateStatistics() {
        statistics.running = running.count
        statistics.waiting = waiting.count
        statistics.cacheBytes = pool.allocated * pool.shape.bytes
        statistics.prefixes.entries = prefixes.count
        statistics.prefixes.bytes = prefixes.count * pool.shape.bytes
        statistics.prefixes.hits = prefixes.hits
        statistics.prefixes.misses = prefixes.misses
        statistics.prefixes.evictions = prefixes.evictions
    }
}

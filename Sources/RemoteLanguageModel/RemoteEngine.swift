// A language model behind vLLM's OpenAI-compatible server: token ids out, a stream of token ids back. The
// distributed work (tensor parallel, batching, paging) is the server's.

import Foundation
import LanguageModelInterface

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Generates on one or several servers that run the same model.
///
/// The prompt goes out as exact ids, begin-of-sequence included, so the server's own template and
/// tokenizer never touch it. Servers that do not return ids are understood by their text. The
/// repetition rule has no counterpart on the server and is left out.
public final class RemoteEngine: LanguageModelEngine {
    /// Where and how to ask.
    public struct Options: Sendable {
        /// Addresses such as `http://host:8000`; a trailing `/v1` is accepted.
        public var urls: [String]
        /// The model's name on the server; nil takes the first it has.
        public var model: String?
        /// Sent as a bearer token.
        public var key: String?
        /// Seconds without a byte after which a request has failed.
        public var patience: Double = 60
        /// How often a request is sent before its error is final.
        public var attempts = 4
        /// Seconds before the second attempt; doubled for each further one.
        public var firstPause = 0.25

        /// Makes options.
        public init(urls: [String], model: String? = nil, key: String? = nil) {
            self.urls = urls
            self.model = model
            self.key = key
        }
    }

    /// What a server says of itself.
    public struct Status: Sendable {
        /// Its address.
        public let url: String
        /// Its models.
        public let models: [String]
        /// Longest prompt plus answer of the model in use, when it tells.
        public let contextLength: Int?
        /// Its version, when it tells.
        public let version: String?
        /// Seconds for one short question.
        public let latency: Double
    }

    private let options: Options
    private let pool: EndpointPool
    private let tokenizer: any TextTokenizer
    /// The model's name on the servers.
    public let model: String
    /// Number of ids: the tokenizer's, as servers do not tell.
    public let vocabularySize: Int
    /// Longest prompt plus answer.
    public let contextLength: Int

    /// Asks every server for its models; throws `RemoteError` when none answers or the model is not there.
    public init(options: Options, tokenizer: any TextTokenizer) async throws {
        var fixed = options
        fixed.urls = try options.urls.map(Self.base)
        guard !fixed.urls.isEmpty else { throw RemoteError.badAddress("") }
        self.options = fixed
        self.tokenizer = tokenizer
        pool = EndpointPool(urls: fixed.urls)
        vocabularySize = tokenizer.vocabularySize
        var found: (model: String, context: Int?)?
        var failure: (any Error)?
        for url in fixed.urls {
            do {
                let list = try await Self.models(at: url, options: fixed)
                let names = list.map(\.id)
                guard let chosen = list.first(where: { $0.id == options.model ?? $0.id }) else {
                    throw RemoteError.wrongModel(
                        name: options.model ?? "", known: names, url: url)
                }
                let smaller = [found?.context, chosen.contextLength].compactMap { $0 }.min()
                found = (chosen.id, smaller)
            } catch let error as RemoteError where error.isTransient {
                failure = error
                pool.giveBack(url, failed: true)
            }
        }
        guard let found else {
            throw failure ?? RemoteError.unreachable(url: fixed.urls[0], reason: "no answer")
        }
        model = found.model
        contextLength = found.context ?? 32_768
    }

    /// Starts generating.
    ///
    /// Before the first token a broken connection and a full server (429, 503) are
    /// tried again, at another server where there is one; after it, nothing is repeated.
    public func generate(
        _ request: GenerationRequest
    ) -> AsyncThrowingStream<GenerationEvent, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    try await self.run(request) { continuation.yield($0) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private func run(
        _ request: GenerationRequest, _ emit: @escaping (GenerationEvent) -> Void
    ) async throws {
        var last: String?
        var pause = options.firstPause
        for attempt in 1...max(1, options.attempts) {
            let url = pool.take(avoiding: last)
            do {
                try await stream(request, from: url, emit)
                pool.giveBack(url, failed: false)
                return
            } catch let error as RemoteError {
                pool.giveBack(url, failed: error.isTransient)
                guard error.isTransient, attempt < options.attempts else { throw error }
                // Another server is asked at once; the same one after a pause.
                if last == url || pool.urls.count == 1 {
                    try await Task.sleep(for: .seconds(pause))
                    pause *= 2
                }
                last = url
            } catch {
                pool.giveBack(url, failed: false)
                throw error
            }
        }
    }

    private func stream(
        _ request: GenerationRequest, from url: String,
        _ emit: @escaping (GenerationEvent) -> Void
    ) async throws {
        let body = try JSONEncoder().encode(CompletionBody(request, model: model))
        let (head, pieces) = try await Self.guarded(url, options) {
            try await StreamingTransport.send(
                Self.request(url + "/v1/completions", options: self.options, body: body))
        }
        guard head.statusCode == 200 else {
            var reply = Data()
            for try await piece in pieces where reply.count < 1 << 16 {
                reply.append(piece)
            }
            throw RemoteError.status(
                head.statusCode, message: ServerWords.message(in: reply), model: model, url: url)
        }
        var splitter = EventSplitter()
        var reader = AnswerReader(request: request, tokenizer: tokenizer, url: url, emit: emit)
        do {
            for try await piece in pieces {
                guard let payloads = splitter.payloads(after: piece) else {
                    throw RemoteError.malformed(url: url, reason: "an event of over 16 MB")
                }
                for payload in payloads where try reader.read(payload) { return }
            }
        } catch let error as URLError {
            throw reader.count == 0
                ? Self.translated(error, url: url, options: options)
                : RemoteError.aborted(
                    url: url, tokens: reader.count, reason: Self.words(error))
        }
        try Task.checkCancellation()
        guard reader.count > 0 else {
            throw RemoteError.unreachable(url: url, reason: "the answer ended before it began")
        }
        throw RemoteError.aborted(
            url: url, tokens: reader.count, reason: "the answer ended without an end")
    }
}

/// Turns the events of one answer into tokens.
private struct AnswerReader {
    let request: GenerationRequest
    let tokenizer: any TextTokenizer
    let url: String
    let emit: (GenerationEvent) -> Void
    var count = 0
    private var hasBegun = false

    init(
        request: GenerationRequest, tokenizer: any TextTokenizer, url: String,
        emit: @escaping (GenerationEvent) -> Void
    ) {
        self.request = request
        self.tokenizer = tokenizer
        self.url = url
        self.emit = emit
    }

    /// True when the answer is complete.
    mutating func read(_ payload: Data) throws -> Bool {
        if payload.elementsEqual("[DONE]".utf8) {
            emit(.finished(.stop))
            return true
        }
        let event: CompletionEvent
        do {
            event = try JSONDecoder().decode(CompletionEvent.self, from: payload)
        } catch {
            let start = String(decoding: payload.prefix(80), as: UTF8.self)
            throw RemoteError.malformed(url: url, reason: "an event that reads \(start)")
        }
        if let words = event.error {
            let message = words.message ?? "no reason given"
            throw RemoteError.status(words.code ?? 500, message: message, model: "", url: url)
        }
        guard let choice = event.choices?.first else { return false }
        if !hasBegun {
            hasBegun = true
            emit(.prefill(tokens: request.prompt.count))
        }
        let text = choice.text ?? ""
        let ids = choice.tokenIDs ?? tokenizer.encode(text, addDummyPrefix: false)
        for id in ids {
            if request.stopIDs.contains(id) {
                emit(.finished(.stop))
                return true
            }
            emit(.token(id))
            count += 1
        }
        switch choice.finishReason {
        case nil: return false
        case "length":
            emit(.finished(.length))
            return true
        case "stop":
            emit(.finished(.stop))
            return true
        case let reason?:
            throw RemoteError.aborted(url: url, tokens: count, reason: "it says '\(reason)'")
        }
    }
}

extension RemoteEngine {
    /// An address without a trailing slash and `/v1`.
    static func base(_ text: String) throws -> String {
        var url = text.trimmingCharacters(in: .whitespaces)
        while url.hasSuffix("/") { url.removeLast() }
        if url.hasSuffix("/v1") { url.removeLast(3) }
        guard let parts = URLComponents(string: url),
            ["http", "https"].contains(parts.scheme ?? ""),
            parts.host?.isEmpty == false
        else { throw RemoteError.badAddress(text) }
        return url
    }

    static func request(
        _ url: String, options: Options, body: Data? = nil
    ) throws -> URLRequest {
        guard let address = URL(string: url) else { throw RemoteError.badAddress(url) }
        var request = URLRequest(url: address)
        request.timeoutInterval = options.patience
        if let key = options.key {
            request.setValue("Bearer " + key, forHTTPHeaderField: "Authorization")
        }
        if let body {
            request.httpMethod = "POST"
            request.httpBody = body
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        }
        return request
    }

    /// Runs an exchange and gives its failures their names.
    static func guarded<Result>(
        _ url: String, _ options: Options, _ work: () async throws -> Result
    ) async throws -> Result {
        do {
            return try await work()
        } catch let error as URLError {
            throw translated(error, url: url, options: options)
        }
    }

    static func translated(_ error: URLError, url: String, options: Options) -> RemoteError {
        error.code == .timedOut
            ? .timedOut(url: url, seconds: options.patience)
            : .unreachable(url: url, reason: words(error))
    }

    static func words(_ error: URLError) -> String {
        switch error.code {
        case .cannotConnectToHost: "it refuses connections"
        case .cannotFindHost, .dnsLookupFailed: "there is no such host"
        case .networkConnectionLost: "the connection was lost"
        default: error.localizedDescription
        }
    }

    /// A reply decoded, or its error.
    static func ask<Reply: Decodable>(
        _ path: String, at url: String, options: Options, body: Data? = nil, as: Reply.Type
    ) async throws -> Reply {
        let (head, data) = try await guarded(url, options) {
            try await StreamingTransport.fetch(request(url + path, options: options, body: body))
        }
        guard head.statusCode == 200 else {
            throw RemoteError.status(
                head.statusCode, message: ServerWords.message(in: data),
                model: options.model ?? "", url: url)
        }
        do {
            return try JSONDecoder().decode(Reply.self, from: data)
        } catch {
            throw RemoteError.malformed(url: url, reason: "\(path) gives something else")
        }
    }

    static func models(at url: String, options: Options) async throws -> [ModelList.Model] {
        try await ask("/v1/models", at: url, options: options, as: ModelList.self).data
    }
}

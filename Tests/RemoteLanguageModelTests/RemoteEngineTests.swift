// The engine behind a server: exact ids out and in, retries before the first token and none after it,
// errors told apart, several servers.

import Foundation
import LanguageModelInterface
import RemoteLanguageModel
import TestSupport
import Testing

/// Bytes as ids.
private struct ByteTokenizer: TextTokenizer {
    func encode(_ text: String, addDummyPrefix: Bool) -> [Int] { text.utf8.map { Int($0) } }
    func encodePlain(_ text: String, addDummyPrefix: Bool) -> [Int] { text.utf8.map { Int($0) } }
    func decode(_ ids: [Int]) -> String {
        String(decoding: ids.map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
    }
    func id(ofPiece piece: String) -> Int? { nil }
    var bosID: Int { 1 }
    var addsBOS: Bool { false }
    var audioBaseID: Int? { nil }
    var vocabularySize: Int { 256 }
}

@Suite struct RemoteEngineTests {
    private func engine(
        _ servers: [StubServer], model: String? = nil, key: String? = nil, patience: Double = 20
    ) async throws -> RemoteEngine {
        var options = RemoteEngine.Options(urls: servers.map(\.url), model: model, key: key)
        options.patience = patience
        options.firstPause = 0.02
        return try await RemoteEngine(options: options, tokenizer: ByteTokenizer())
    }

    private func collect(_ engine: RemoteEngine, _ request: GenerationRequest? = nil) async throws
        -> [GenerationEvent]
    {
        var events: [GenerationEvent] = []
        for try await event in engine.generate(request ?? Self.request) { events.append(event) }
        return events
    }

    static let request = GenerationRequest(
        prompt: [1, 4, 9], sampling: SamplingOptions(temperature: 0.5, topP: 0.9, seed: 7),
        stopIDs: [3], maximumNewTokens: 20)

    /// A server that answers `/v1/models`, and completions by a script.
    private func server(
        _ script: @escaping @Sendable (StubServer.Request, Int) -> [StubServer.Action]
    ) -> StubServer {
        StubServer { request, count in
            request.path == "/v1/models" ? [Reply.models] : script(request, count)
        }
    }

    @Test func sendsExactIDsAndYieldsThem() async throws {
        let stub = server { _, _ in
            [
                Reply.stream, Reply.tokens([10, 11]), Reply.tokens([12]),
                Reply.tokens([3], finish: "stop"),
            ]
        }
        let engine = try await engine([stub], key: "secret")
        #expect(engine.model == "step")
        #expect(engine.contextLength == 100)
        let events = try await collect(engine)
        #expect(
            events == [.prefill(tokens: 3), .token(10), .token(11), .token(12), .finished(.stop)])
        let sent = try #require(stub.completions.first)
        #expect(sent.headers.contains("Authorization: Bearer secret"))
        let body = sent.object
        #expect(body["prompt"] as? [Int] == [1, 4, 9])
        #expect(body["model"] as? String == "step")
        #expect(body["max_tokens"] as? Int == 20)
        #expect(body["seed"] as? Int == 7)
        #expect(body["top_k"] as? Int == -1)
        #expect(body["stop_token_ids"] as? [Int] == [3])
        #expect(body["return_token_ids"] as? Bool == true)
        #expect(body["allowed_token_ids"] == nil)
    }

    @Test func candidatesBecomeAllowedIDs() async throws {
        let stub = server { _, _ in [Reply.stream, Reply.tokens([60], finish: "length")] }
        var request = Self.request
        request.candidates = 60..<63
        let events = try await collect(try await engine([stub]), request)
        #expect(events.last == .finished(.length))
        #expect(stub.completions.first?.object["allowed_token_ids"] as? [Int] == [60, 61, 62, 3])
    }

    @Test func serversWithoutIDsAreUnderstoodByTheirText() async throws {
        let stub = server { _, _ in [Reply.stream, Reply.text("Hi"), Reply.done] }
        let events = try await collect(try await engine([stub]))
        #expect(events == [.prefill(tokens: 3), .token(72), .token(105), .finished(.stop)])
    }

    @Test func eventsMayBeCutAnywhere() async throws {
        let stub = server { _, _ in
            guard case .say(let event) = Reply.tokens([10, 11]) else { return [] }
            let parts = event.map { StubServer.Action.say(String($0)) }
            return [Reply.stream] + parts + [Reply.tokens([3], finish: "stop")]
        }
        let events = try await collect(try await engine([stub]))
        #expect(events.dropFirst() == [.token(10), .token(11), .finished(.stop)])
    }

    @Test(arguments: ["429 Too Many Requests", "503 Service Unavailable"])
    func aFullServerIsAskedAgain(status: String) async throws {
        let stub = server { _, count in
            count < 2 ? [Reply.error(status, "busy")] : [Reply.stream, Reply.tokens([5, 3])]
        }
        let events = try await collect(try await engine([stub]))
        #expect(events.last == .finished(.stop))
        #expect(stub.completions.count == 3)
    }

    @Test func aConnectionThatBreaksBeforeTheAnswerIsTriedAgain() async throws {
        let stub = server { _, count in count == 0 ? [] : [Reply.stream, Reply.tokens([5, 3])] }
        #expect(try await collect(try await engine([stub])).last == .finished(.stop))
        #expect(stub.completions.count == 2)
    }

    @Test func anAnswerThatBreaksOffIsNotRepeated() async throws {
        let stub = server { _, _ in [Reply.stream, Reply.tokens([5, 6])] }
        let engine = try await engine([stub])
        await #expect(
            throws: RemoteError.aborted(
                url: stub.url, tokens: 2, reason: "the answer ended without an end")
        ) { try await collect(engine) }
        #expect(stub.completions.count == 1)
    }

    @Test(arguments: [
        (
            "400 Bad Request", "This model's maximum context length is 100 tokens.",
            RemoteError.contextTooLong("This model's maximum context length is 100 tokens.")
        ),
        ("400 Bad Request", "bad top_p", .refused(status: 400, message: "bad top_p")),
        ("500 Internal Server Error", "CUDA out of memory.", .outOfMemory("CUDA out of memory.")),
        ("500 Internal Server Error", "EngineDead", .refused(status: 500, message: "EngineDead")),
    ])
    func errorsAreToldApart(status: String, message: String, expected: RemoteError) async throws {
        let stub = server { _, _ in [Reply.error(status, message)] }
        let engine = try await engine([stub])
        await #expect(throws: expected) { try await collect(engine) }
        #expect(stub.completions.count == 1)
    }

    @Test func errorsInsideTheStreamAreErrors() async throws {
        let stub = server { _, _ in
            [Reply.stream, .say(#"data: {"error":{"message":"engine died","code":500}}"# + "\n\n")]
        }
        let engine = try await engine([stub])
        await #expect(throws: RemoteError.refused(status: 500, message: "engine died")) {
            try await collect(engine)
        }
    }

    @Test func anAbortIsAnError() async throws {
        let stub = server { _, _ in [Reply.stream, Reply.tokens([5], finish: "abort")] }
        let engine = try await engine([stub])
        await #expect(
            throws: RemoteError.aborted(url: stub.url, tokens: 1, reason: "it says 'abort'")
        ) { try await collect(engine) }
    }

    @Test func wordsOfAnotherProtocolAreNamed() async throws {
        let stub = server { _, _ in [Reply.stream, .say("data: <html>\n\n")] }
        let engine = try await engine([stub])
        await #expect(
            throws: RemoteError.malformed(url: stub.url, reason: "an event that reads <html>")
        ) { try await collect(engine) }
    }

    @Test func aServerThatSaysNothingTimesOut() async throws {
        let stub = server { _, _ in [Reply.stream, Reply.tokens([5]), .pause(30)] }
        let engine = try await engine([stub], patience: 1)
        let error = await #expect(throws: RemoteError.self) { try await collect(engine) }
        guard case .aborted(_, 1, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func aDeadServerIsReportedAtOnce() async throws {
        let stub = server { _, _ in [] }
        let engine = try await engine([stub])
        stub.stop()
        let error = await #expect(throws: RemoteError.self) { try await collect(engine) }
        // Not after the silence that an open connection is given; Benchmarks/ChatServer has the time.
        #expect(error?.description.hasSuffix("is away: it refuses connections") == true)
    }

    @Test func theModelMustBeThere() async {
        let stub = server { _, _ in [] }
        await #expect(
            throws: RemoteError.wrongModel(
                name: "gpt", known: ["step", "other"], url: stub.url)
        ) { try await engine([stub], model: "gpt") }
    }

    @Test func aRefusedKeyIsNamed() async {
        let stub = StubServer { _, _ in [Reply.error("401 Unauthorized", "no")] }
        await #expect(throws: RemoteError.keyRefused(url: stub.url)) { try await engine([stub]) }
    }

    @Test(arguments: ["", "host:8000", "ftp://host", "http://"])
    func addressesAreChecked(address: String) async {
        await #expect(throws: RemoteError.badAddress(address)) {
            try await RemoteEngine(
                options: RemoteEngine.Options(urls: [address]), tokenizer: ByteTokenizer())
        }
    }

    @Test func theLessLoadedServerIsAsked() async throws {
        let script: @Sendable (StubServer.Request, Int) -> [StubServer.Action] = { _, _ in
            [Reply.stream, .pause(1.5), Reply.tokens([5, 3])]
        }
        let (one, two) = (server(script), server(script))
        let engine = try await engine([one, two])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<6 { group.addTask { _ = try await collect(engine) } }
            try await group.waitForAll()
        }
        #expect(one.completions.count == 3)
        #expect(two.completions.count == 3)
    }

    @Test func aDeadServerIsSkipped() async throws {
        let (one, two) = (
            server { _, _ in [] }, server { _, _ in [Reply.stream, Reply.tokens([5, 3])] }
        )
        let engine = try await engine([one, two])
        one.stop()
        for _ in 0..<4 {
            #expect(try await collect(engine).last == .finished(.stop))
        }
        #expect(two.completions.count == 4)
    }

    @Test func cancellingHangsUp() async throws {
        let stub = server { _, _ in
            [Reply.stream] + (0..<2000).flatMap { _ in [Reply.tokens([5]), .pause(0.01)] }
        }
        let engine = try await engine([stub])
        var count = 0
        for try await event in engine.generate(Self.request) {
            if case .token = event { count += 1 }
            if count == 3 { break }
        }
        for _ in 0..<1200 where stub.clientsThatLeft == 0 {
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect(stub.clientsThatLeft == 1)
    }
}

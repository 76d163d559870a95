// A real vLLM: the contract of engines, exact ids, and what it says of itself. The tests start it over
// Tools/vllm/serve when the variable STEPAUDIO_VLLM is 1 (its environment takes 3.5 GB), or use the server
// that STEPAUDIO_VLLM_URL names.

import Foundation
import LanguageModelInterface
import RemoteLanguageModel
import TestSupport
import Testing

/// The server, started once.
private actor VLLM {
    static let shared = VLLM()
    static var isWanted: Bool { named != nil || environment["STEPAUDIO_VLLM"] == "1" }
    private static var environment: [String: String] { ProcessInfo.processInfo.environment }
    private static var named: String? { environment["STEPAUDIO_VLLM_URL"] }

    private var started: Task<String, any Error>?

    /// Its address, when it answers.
    func url() async throws -> String {
        if let named = Self.named { return named }
        let task = started ?? Task { try await Self.start() }
        started = task
        return try await task.value
    }

    private static func start() async throws -> String {
        let port = 20_000 + Int.random(in: 0..<10_000)
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().path
        let process = Process()
        // The shell watches this process and ends the server with it.
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = [
            "-c",
            "\"$0\" \"$1\" & server=$!; trap 'kill $server' EXIT; "
                + "while kill -0 $PPID && kill -0 $server; do sleep 1; done",
            root + "/Tools/vllm/serve", "\(port)",
        ]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let url = "http://127.0.0.1:\(port)"
        for _ in 0..<600 {
            let status = await RemoteEngine.status(of: .init(urls: [url])).first?.result
            if case .success = status { return url }
            guard process.isRunning else { break }
            try await Task.sleep(for: .seconds(1))
        }
        throw EngineContract.failed("vLLM did not start")
    }
}

/// Enough of a tokenizer for the engine, which only counts ids here.
private struct IDs: TextTokenizer {
    func encode(_ text: String, addDummyPrefix: Bool) -> [Int] { [] }
    func encodePlain(_ text: String, addDummyPrefix: Bool) -> [Int] { [] }
    func decode(_ ids: [Int]) -> String { "" }
    func id(ofPiece piece: String) -> Int? { nil }
    var bosID: Int { 1 }
    var addsBOS: Bool { false }
    var audioBaseID: Int? { nil }
    var vocabularySize: Int { 2755 }
}

@Suite(.serialized, .enabled(if: VLLM.isWanted, "STEPAUDIO_VLLM is not 1"))
struct VLLMTests {
    private func engine() async throws -> RemoteEngine {
        let options = RemoteEngine.Options(urls: [try await VLLM.shared.url()])
        return try await RemoteEngine(options: options, tokenizer: IDs())
    }

    @Test(arguments: EngineContract.checks.indices) func keepsTheContract(_ index: Int) async throws
    {
        let engine = try await engine()
        #expect(engine.model == "tiny" && engine.contextLength == 512)
        try await EngineContract.checks[index].run(
            EngineContract(engine, prompt: [1, 4, 300, 301, 5]))
    }

    @Test func aPromptBeyondTheContextIsNamed() async throws {
        let request = GenerationRequest(
            prompt: Array(repeating: 5, count: 600), sampling: SamplingOptions(), stopIDs: [3],
            maximumNewTokens: 4)
        let engine = try await engine()
        let error = await #expect(throws: RemoteError.self) {
            for try await _ in engine.generate(request) {}
        }
        guard case .contextTooLong = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func itSaysWhatItIs() async throws {
        let url = try await VLLM.shared.url()
        let options = RemoteEngine.Options(urls: [url])
        let status = try #require(await RemoteEngine.status(of: options).first).result.get()
        #expect(status.models == ["tiny"])
        #expect(status.version?.isEmpty == false)
        #expect(status.latency < 5)
        let ids = try await RemoteEngine.tokenize(
            "<|BOT|>", model: "tiny", at: url, options: options)
        #expect(ids == [4])
    }
}

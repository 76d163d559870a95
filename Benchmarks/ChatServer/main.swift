// What our side of a chat server costs: CPU per token with 64 streams, the way from the server's token to
// the sentence that is handed to speech, and how soon a server that dies is noticed. The server is the
// tests' stub in the same process, so its own work is in the figures: they are upper bounds.

import Foundation
import LanguageModel
import LanguageModelInterface
import RemoteLanguageModel
import SpeechSynthesis
import Synchronization
import TestSupport

let folder = CommandLine.arguments.dropFirst().first ?? "Models/pocket/Step-Audio-Chat"
let tokenizer = try UnigramTokenizer(directory: folder)
let clock = ContinuousClock()

func milliseconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) * 1e3 + Double(duration.components.attoseconds) * 1e-15
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

let request = GenerationRequest(
    prompt: [1, 4, 300], sampling: SamplingOptions(), stopIDs: [3], maximumNewTokens: 400)

// 64 streams at once, a token every 20 ms.
let (streams, tokens) = (64, 100)
let busy = StubServer { request, _ in
    guard request.path == "/v1/completions" else { return [Reply.models] }
    return [Reply.stream] + (0..<tokens).flatMap { _ in [Reply.tokens([300]), .pause(0.02)] }
        + [Reply.tokens([3], finish: "stop")]
}
let engine = try await RemoteEngine(options: .init(urls: [busy.url]), tokenizer: tokenizer)
let start = processorSeconds()
try await withThrowingTaskGroup(of: Void.self) { group in
    for _ in 0..<streams {
        group.addTask {
            var decoder = StreamingTextDecoder(tokenizer)
            var sentences = SentenceStream()
            for try await event in engine.generate(request) {
                if case .token(let id) = event { _ = sentences.append(decoder.append(id)) }
            }
        }
    }
    try await group.waitForAll()
}
let perToken = (processorSeconds() - start) * 1000 / Double(streams * tokens)
print("CPU per token, \(streams) streams: \(String(format: "%.3f", perToken)) ms")

// From the token that begins the second sentence to the first sentence, handed over.
let sent = Mutex<[ContinuousClock.Instant]>([])
let words = tokenizer.encode("A week has seven days. A", addDummyPrefix: false)
let quick = StubServer { request, _ in
    guard request.path == "/v1/completions" else { return [Reply.models] }
    sent.withLock { $0.append(.now) }
    return [Reply.stream, Reply.tokens(words), .pause(0.05), Reply.tokens([3], finish: "stop")]
}
let other = try await RemoteEngine(options: .init(urls: [quick.url]), tokenizer: tokenizer)
var shares: [Double] = []
for _ in 0..<50 {
    var decoder = StreamingTextDecoder(tokenizer)
    var sentences = SentenceStream()
    for try await event in other.generate(request) {
        guard case .token(let id) = event else { continue }
        if !sentences.append(decoder.append(id)).isEmpty {
            let first = sent.withLock { $0[$0.count - 1] }
            shares.append(milliseconds(clock.now - first))
        }
    }
}
print(
    "from the server's tokens to the sentence for speech: \(String(format: "%.2f", median(shares))) ms"
)

// A server that dies inside an answer.
let ended = Mutex<ContinuousClock.Instant?>(nil)
let dying = StubServer { request, _ in
    guard request.path == "/v1/completions" else { return [Reply.models] }
    ended.withLock { $0 = .now + .milliseconds(200) }
    return [Reply.stream, Reply.tokens([300]), .pause(0.2)]
}
let last = try await RemoteEngine(options: .init(urls: [dying.url]), tokenizer: tokenizer)
do {
    for try await _ in last.generate(request) {}
} catch {
    let end = ended.withLock { $0 } ?? .now
    print(
        "a dead server is noticed after \(String(format: "%.1f", milliseconds(clock.now - end))) ms: \(error)"
    )
}

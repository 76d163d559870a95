// A chat model behind a server: the controller's prompt goes out as exact ids, the answer comes back and is
// spoken sentence by sentence.

import Foundation
import LanguageModel
import StepAudio
import Synchronization
import TestSupport
import Testing

/// What a test heard, in order.
private final class Heard: Sendable {
    let events = Mutex<[String]>([])
}

@Suite(.serialized) struct ChatServerTests {
    static let vocabulary = Result {
        try UnigramTokenizer(directory: Pocket.folder + "/Step-Audio-Chat")
    }

    private func system(_ stub: StubServer, attempts: Int = 1) -> StepAudio {
        var options = Pocket.options
        var server = ModelServer(urls: [stub.url + "/v1/"])
        server.attempts = attempts
        options.chatServer = server
        return StepAudio(locations: Pocket.locations, options: options)
    }

    private func server(
        _ script: @escaping @Sendable (StubServer.Request, Int) -> [StubServer.Action]
    ) -> StubServer {
        StubServer { request, count in
            request.path == "/v1/models" ? [Reply.models] : script(request, count)
        }
    }

    @Test func aRecordingIsAnsweredThereAndSpokenHere() async throws {
        let tokenizer = try Self.vocabulary.get()
        let ids = tokenizer.encode("The sky is blue.", addDummyPrefix: false)
        let stub = server { _, _ in
            [Reply.stream] + ids.map { Reply.tokens([$0]) } + [Reply.tokens([3], finish: "stop")]
        }
        let question = Pocket.questions[2]
        let system = system(stub)
        let (answer, history) = try await system.answer([.user(audio: question.path)])
        #expect(answer.text == "The sky is blue.")
        #expect((answer.speech?.seconds ?? 0) > 0.3)
        // The prompt is the one of the embedded engine, to the id.
        let template = try ChatTemplate(tokenizer: tokenizer)
        guard case .audio(.tokens(let tokens)) = history.first?.content?.first else {
            Issue.record("no tokens in \(history)")
            return
        }
        let expected = template.ids([ChatTurn(role: "user", content: [.audioTokens(tokens)])])
        #expect(stub.completions.first?.object["prompt"] as? [Int] == expected)
        #expect(expected.first == tokenizer.bosID)
    }

    @Test func theFirstSentenceIsSpokenWhileTheSecondIsWritten() async throws {
        let tokenizer = try Self.vocabulary.get()
        let first = tokenizer.encode("A week has seven days. A", addDummyPrefix: false)
        let second = tokenizer.encode(" year has twelve months.", addDummyPrefix: false)
        // The server writes the second sentence only when the first has been spoken.
        let heard = Heard()
        let stub = server { _, _ in
            [
                Reply.stream, Reply.tokens(first),
                .wait(until: {
                    heard.events.withLock { events in
                        guard events.last == "speech" else { return false }
                        events.append("second sentence")
                        return true
                    }
                }),
                Reply.tokens(second), Reply.tokens([3], finish: "stop"),
            ]
        }
        let (answer, _) = try await system(stub).answer(
            [.user("Hello.")], onSpeech: { _ in heard.events.withLock { $0.append("speech") } })
        #expect(answer.text == "A week has seven days. A year has twelve months.")
        let events = heard.events.withLock { $0 }
        #expect(events.first == "speech" && events.last == "speech")
        #expect(events.contains("second sentence"))
        #expect((answer.speech?.seconds ?? 0) > 1.5)
    }

    @Test func aServerThatIsAwayIsSaidInWords() async throws {
        let stub = server { _, _ in [] }
        let system = system(stub)
        stub.stop()
        let error = await #expect(throws: StepAudioError.self) {
            try await system.answer([.user("Hello.")], options: Pocket.textOnly)
        }
        #expect(error?.description.hasPrefix("the server \(stub.url) is away: ") == true)
    }

    @Test func theNextRequestSucceedsWhenTheServerIsBack() async throws {
        let ids = try Self.vocabulary.get().encode("Hello.", addDummyPrefix: false)
        let stub = server { _, count in
            count == 0
                ? [Reply.stream, Reply.tokens(ids)] : [Reply.stream, Reply.tokens(ids + [3])]
        }
        let system = system(stub)
        let error = await #expect(throws: StepAudioError.self) {
            try await system.answer([.user("Hello.")], options: Pocket.textOnly)
        }
        #expect(
            error?.description
                == "the server \(stub.url) broke off after \(ids.count) tokens: the answer ended "
                + "without an end")
        let (answer, _) = try await system.answer([.user("Hello.")], options: Pocket.textOnly)
        #expect(answer.text == "Hello.")
    }

    @Test func theDoctorComparesVocabularies() async throws {
        let stub = StubServer { request, _ in
            switch request.path {
            case "/v1/models": [Reply.models]
            case "/version": [Reply.json(#"{"version":"0.32.0"}"#)]
            case "/tokenize":
                request.object["prompt"] as? String == "<|BOT|>"
                    ? [Reply.json(#"{"tokens":[4]}"#)] : [Reply.json(#"{"tokens":[9]}"#)]
            default: [Reply.stream, Reply.tokens([3])]
            }
        }
        let checks = await Doctor.examine(
            locations: Pocket.locations, precision: nil, chatServer: ModelServer(urls: [stub.url]))
        let server = try #require(checks.first { $0.name == "server" })
        #expect(
            server.finding.hasPrefix(
                "\(stub.url): version 0.32.0, models step, other, context 100, "))
        let vocabulary = try #require(checks.first { $0.name == "server vocabulary" })
        #expect(vocabulary.status == .failed)
        #expect(vocabulary.finding == "<|EOT|> is [9], here [3]; <audio_0> is [9], here [1219]")
    }

    @Test func theSpeechModelMayBeBehindAServerToo() async throws {
        let spoken = try await Pocket.system.say("The sky is blue.").speech
        let tokenizer = try UnigramTokenizer(directory: Pocket.folder + "/Step-Audio-TTS-3B")
        let first = try #require(tokenizer.audioBaseID)
        let stub = server { _, _ in
            [Reply.stream, Reply.tokens(spoken.tokens.map { $0 + first }), Reply.tokens([3])]
        }
        var options = Pocket.options
        options.speechServer = ModelServer(urls: [stub.url])
        let system = StepAudio(locations: Pocket.locations, options: options)
        let remote = try await system.say("The sky is blue.").speech
        #expect(remote.tokens == spoken.tokens)
        #expect(remote.samples == spoken.samples)
        let allowed = stub.completions.first?.object["allowed_token_ids"] as? [Int]
        #expect(allowed?.contains(first) == true && allowed?.contains(3) == true)
    }
}

// The endpoints on the pocket bundle, without a socket.

import AudioSignal
import Foundation
import HTTPTypes
import Hummingbird
import StepAudio
import StepAudioServer
import Testing

@Suite(.serialized) struct RouteTests {
    static let question = RouteClient.bundle + "/questions/what-color-is-the-sky.wav"

    @Test func answersInText() async throws {
        let client = try await RouteClient()
        let reply = try await client.post(
            "/v1/chat/completions",
            #"{"model":"m","temperature":0,"messages":[{"role":"user","content":"What color is the sky?"}]}"#
        )
        #expect(reply.status == 200)
        #expect(reply.text.contains(#""content":"The sky is blue.""#))
        #expect(reply.text.contains(#""refusal":null"#))
        #expect(reply.text.contains(#""finish_reason":"stop""#))
    }

    @Test func speaksWhileItIsMade() async throws {
        let client = try await RouteClient()
        let reply = try await client.post(
            "/v1/audio/speech",
            #"{"model":"m","input":"The sky is blue.","voice":"default","response_format":"wav"}"#)
        #expect(reply.status == 200)
        #expect(reply.body.prefix(4) == Data("RIFF".utf8))
        #expect(reply.body.count > 20_000)
        let serverTiming = try #require(HTTPField.Name("Server-Timing"))
        #expect(reply.trailers?[serverTiming]?.contains("first_audio;dur=") == true)
    }

    @Test func speechComesAsEventsToo() async throws {
        let client = try await RouteClient()
        let reply = try await client.post(
            "/v1/audio/speech",
            #"{"model":"m","input":"Good morning.","voice":{"id":"Hibari"},"response_format":"pcm","stream_format":"sse"}"#
        )
        #expect(reply.headers[.contentType] == "text/event-stream; charset=utf-8")
        #expect(reply.events.first?.contains("speech.audio.delta") == true)
        #expect(reply.events.last?.contains("speech.audio.done") == true)
    }

    @Test func tokensGoThereAndBack() async throws {
        let client = try await RouteClient()
        let data = try Data(contentsOf: URL(fileURLWithPath: Self.question)).base64EncodedString()
        let encoded = try await client.post(
            "/v1/audio/tokens", #"{"input_audio":{"data":"\#(data)","format":"wav"}}"#
        ).json(EncodeReply.self)
        #expect(encoded.ids.count > 50)
        #expect(encoded.tokens.hasPrefix("<audio_\(encoded.ids[0])>"))
        let ids = encoded.ids.map(String.init).joined(separator: ",")
        let decoded = try await client.post(
            "/v1/audio/tokens/decode", #"{"ids":[\#(ids)],"response_format":"wav"}"#)
        #expect(decoded.status == 200)
        let clip = try AudioFile.read(data: decoded.body, name: "the reply")
        #expect(abs(clip.duration - encoded.duration) < 0.5)
    }

    @Test(arguments: [
        ("/v1/chat/completions", #"{"model":"m"}"#, "messages", "the field messages is missing"),
        (
            "/v1/chat/completions",
            #"{"model":"m","messages":[{"role":"bard","content":"x"}]}"#, "messages.0.role",
            "messages.0.role is 'bard'; accepted: system, developer, user, assistant"
        ),
        (
            "/v1/chat/completions", #"{"model":"m","messages":[{"role":"user"}]}"#,
            "messages.0.content", "messages.0.content is missing"
        ),
        (
            "/v1/chat/completions",
            #"{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"x"}]}"#,
            "max_tokens", "max_tokens is 0; accepted: 1 or more"
        ),
        (
            "/v1/audio/speech", #"{"model":"m","input":"x","voice":"alloy"}"#, "voice",
            "there is no voice 'alloy'; known voices: default, Hibari"
        ),
        (
            "/v1/audio/speech", #"{"model":"m","input":"x","voice":"default","speed":5}"#, "speed",
            "speed is 5.0; accepted: 0.25 to 4.0"
        ),
        (
            "/v1/audio/speech", #"{"model":"m","input":7,"voice":"default"}"#, "input",
            "the field input is not a string"
        ),
        (
            "/v1/audio/tokens/decode", #"{}"#, "tokens",
            "exactly one of tokens and ids is accepted"
        ),
    ])
    func refusesByName(path: String, body: String, param: String, message: String) async throws {
        let client = try await RouteClient()
        let reply = try await client.post(path, body)
        #expect(reply.status == 400)
        #expect(reply.error?.param == param)
        #expect(reply.error?.message == message)
        #expect(reply.error?.type == "invalid_request_error")
    }

    @Test func isNotReadyBeforeItsWeights() async throws {
        let client = try await RouteClient(loads: false)
        #expect(try await client.ask(.get, "/health").status == 503)
        let reply = try await client.post(
            "/v1/audio/speech",
            #"{"model":"m","input":"x","voice":"default","response_format":"wav"}"#)
        #expect(reply.status == 503)
        #expect(reply.error?.code == "loading")
        #expect(reply.headers[.retryAfter] == "2")
    }

    @Test func asksForAKey() async throws {
        let client = try await RouteClient(loads: false) { $0.keys = APIKeys(["right-key"]) }
        #expect(try await client.ask(.get, "/v1/models").status == 401)
        let wrong = try await client.ask(
            .get, "/v1/models", headers: [.authorization: "Bearer right-kez"])
        #expect(wrong.error?.message == "the API key is wrong")
        let right = try await client.ask(
            .get, "/v1/models", headers: [.authorization: "Bearer right-key"])
        #expect(right.status == 200)
        #expect(try await client.ask(.get, "/").status == 200)
    }

    @Test func refusesForeignPagesUnlessToldSo() async throws {
        let closed = try await RouteClient(loads: false)
        let foreign: HTTPFields = [.origin: "https://example.com"]
        #expect(try await closed.ask(.get, "/v1/models", headers: foreign).status == 403)
        let own: HTTPFields = [.origin: "http://localhost"]
        #expect(try await closed.ask(.get, "/v1/models", headers: own).status == 200)
        let open = try await RouteClient(loads: false) {
            $0.corsOrigins = ["https://example.com"]
        }
        let reply = try await open.ask(.get, "/v1/models", headers: foreign)
        #expect(reply.headers[.accessControlAllowOrigin] == "https://example.com")
        let preflight = try await open.ask(.options, "/v1/audio/speech", headers: foreign)
        #expect(preflight.status == 204)
    }

    @Test func thePageBringsItsPolicy() async throws {
        let client = try await RouteClient(loads: false)
        let page = try await client.ask(.get, "/")
        #expect(page.headers[.contentType] == "text/html; charset=utf-8")
        let policy = page.headers[.contentSecurityPolicy] ?? ""
        #expect(policy.hasPrefix("default-src 'none'; script-src 'self'"))
        #expect(!policy.contains("unsafe"))
        #expect(!page.text.contains("http://") && !page.text.contains("https://"))
        for match in page.text.matches(of: /"(\/assets\/[^"]+)"/) {
            #expect(try await client.ask(.get, String(match.1)).status == 200)
        }
    }
}

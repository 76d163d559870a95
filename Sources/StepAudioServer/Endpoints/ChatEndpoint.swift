// POST /v1/chat/completions: a conversation in, text and speech out.

import Foundation
import HTTPTypes
import Hummingbird
import StepAudio

extension Backend {
    /// The name of the model that answers.
    static let chatModel = "step-audio-chat"

    /// Answers a conversation.
    func chat(_ request: Request, _ context: ServerContext) async throws -> Response {
        let start = ContinuousClock.now
        let wire = try await request.decode(ChatRequest.self, limit: limits.bodyBytes)
        let plan = try await ChatPlan(wire, self, context)
        guard wire.stream ?? false else {
            let reply = try await perform(context) { [self] in
                try await wholeReply(plan, context, since: start)
            }
            return try JSON.response(reply)
        }
        return try await stream(
            context, headers: .eventStream, describe: { StreamSink.event($0) }
        ) { [self] sink in
            try await streamReply(plan, context, since: start, to: sink)
            return nil
        }
    }

    private func wholeReply(
        _ plan: ChatPlan, _ context: ServerContext, since start: ContinuousClock.Instant
    ) async throws -> ChatReply {
        let order = try await plan.order(self)
        let sound = SampleStore()
        let outcome = try await answer(order, since: start) { piece in
            if case .speech(let chunk) = piece {
                await sound.append(chunk.samples, chunk.sampleRate)
            }
        }
        finish(outcome, context)
        var message = ChatReply.Message(content: outcome.text)
        if let format = plan.format {
            let id = "audio_" + ID.random()
            let (samples, rate) = await sound.all
            let bytes = try await AudioEncoder.encode(
                samples, as: format, sourceRate: rate, sampleRate: plan.sampleRate.hertz)
            message.content = nil
            message.audio = ChatAudio(
                id: id, expiresAt: answers.keep(outcome.text, id: id, client: context.client),
                data: Data(bytes).base64EncodedString(), transcript: outcome.text)
        }
        return ChatReply(
            id: plan.id, created: plan.created, model: Self.chatModel,
            choices: [.init(message: message, finishReason: outcome.finishReason)],
            usage: ChatUsage(outcome), systemFingerprint: Self.fingerprint,
            timings: WireTimings(
                outcome.timings, total: outcome.totalSeconds, speech: outcome.speech))
    }

    private func streamReply(
        _ plan: ChatPlan, _ context: ServerContext, since start: ContinuousClock.Instant,
        to sink: StreamSink
    ) async throws {
        let order = try await plan.order(self)
        let speaks = plan.format != nil
        let audioID = "audio_" + ID.random()
        @Sendable func chunk(
            _ delta: ChatChunk.Delta?, finish: String? = nil, usage: ChatUsage? = nil,
            timings: WireTimings? = nil
        ) -> ChatChunk {
            ChatChunk(
                id: plan.id, created: plan.created, model: Self.chatModel,
                choices: delta.map { [.init(delta: $0, finishReason: finish)] } ?? [],
                usage: usage, systemFingerprint: Self.fingerprint, timings: timings)
        }
        try sink.event(
            chunk(.init(role: "assistant", content: speaks ? nil : "", audio: nil)))
        let line = EncodingLine(.pcm16, wanted: plan.sampleRate)
        @Sendable func send(_ bytes: [UInt8]) throws {
            guard !bytes.isEmpty else { return }
            let data = Data(bytes).base64EncodedString()
            try sink.event(chunk(.init(audio: ChatAudio(id: audioID, data: data))))
        }
        let outcome = try await answer(order, since: start) { piece in
            switch piece {
            case .text(let text):
                try sink.event(
                    chunk(
                        speaks
                            ? .init(audio: ChatAudio(id: audioID, transcript: text))
                            : .init(content: text)))
            case .speech(let chunk):
                try send(await line.append(chunk.samples, rate: chunk.sampleRate).0)
            }
        }
        try send(await line.finish().0)
        finish(outcome, context)
        if speaks {
            let expires = answers.keep(outcome.text, id: audioID, client: context.client)
            try sink.event(chunk(.init(audio: ChatAudio(id: audioID, expiresAt: expires))))
        }
        try sink.event(
            chunk(
                .init(), finish: outcome.finishReason,
                timings: WireTimings(
                    outcome.timings, total: outcome.totalSeconds, speech: outcome.speech)))
        if plan.includesUsage {
            try sink.event(chunk(nil, usage: ChatUsage(outcome)))
        }
        sink.event(word: "[DONE]")
    }

    private func finish(_ outcome: ChatOutcome, _ context: ServerContext) {
        logContent("answer", outcome.text, context)
        if let speech = outcome.speech { count(speech, endpoint: "/v1/chat/completions") }
    }

    /// Names the server's version to clients.
    static let fingerprint = "stepaudio-" + StepAudioVersion.current
}

/// Samples of an answer that is sent as a whole.
actor SampleStore {
    private var samples: [Float] = []
    private var rate = 24_000

    func append(_ more: [Float], _ rate: Int) {
        samples += more
        self.rate = rate
    }

    var all: (samples: [Float], rate: Int) { (samples, rate) }
}

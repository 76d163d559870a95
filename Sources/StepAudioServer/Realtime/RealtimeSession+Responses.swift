// The answers of a realtime session: made beside it, told piece by piece, ended early when the user or
// the client says so.

import Foundation
import StepAudio

/// A response that is being made.
struct ActiveResponse: Sendable {
    let id = "resp_" + ID.random()
    let item = "item_" + ID.random()
    let settings: SessionSettings
    var task: Task<Void, Never>?
    var answer = SpokenAnswer()
    var hasItem = false
}

extension RealtimeSession {
    /// Starts an answer to the conversation.
    func createResponse(_ order: ResponseOrder?) async throws {
        guard response == nil else {
            throw APIError.invalid(
                "a response is being made; wait for response.done or cancel it",
                code: "conversation_already_has_active_response")
        }
        if order?.input != nil || order?.conversation == "none" {
            throw APIError.invalid(
                "responses outside the conversation are not supported", param: "response.input",
                code: "unsupported_parameter")
        }
        var settings = settings
        if let order { settings = try await settings.merging(order, backend) }
        guard items.contains(where: { $0.role == "user" }) else {
            throw APIError.invalid("the conversation has no turn to answer")
        }
        var active = ActiveResponse(settings: settings)
        send(
            ServerEvent("response.created") {
                $0.response = wire(active, status: "in_progress")
            })
        let turns = items
        active.task = Task { [active] in await run(active, answering: turns) }
        response = active
    }

    /// Makes the answer; whatever happens, `response.done` is sent once.
    private func run(_ active: ActiveResponse, answering turns: [ConversationItem]) async {
        let start = ContinuousClock.now
        do {
            try backend.readiness.check()
            let ticket = try await backend.admission.enter(client: client)
            defer { ticket.leave() }
            let order = try await order(active.settings, turns)
            guard open(active.id) else { return }
            let line = EncodingLine(.pcm16, wanted: nil)
            let outcome = try await withLimit(backend.limits.requestSeconds) { [self] in
                try await backend.answer(order, since: start) { piece in
                    try await take(piece, of: active.id, line)
                }
            }
            try await sendSound(line.finish().0, of: active.id)
            if let speech = outcome.speech { backend.count(speech, endpoint: "/v1/realtime") }
            complete(active.id, outcome)
        } catch {
            fail(active.id, APIError(error))
        }
    }

    /// The prompt: instructions, then as many of the last turns as leave the model room to answer.
    private func order(
        _ settings: SessionSettings, _ turns: [ConversationItem]
    ) async throws -> ChatOrder {
        let system: [Message] =
            settings.instructions.isEmpty ? [] : [.system(settings.instructions)]
        var spoken: [(message: Message, audioTokens: Int)] = []
        for turn in turns {
            if let part = try await turn.message(backend) { spoken.append(part) }
        }
        var order = ChatOrder(messages: [], options: try await settings.options(backend))
        let room = try await backend.system.chatContextLength() * 3 / 4
        while true {
            order.messages = system + spoken.map(\.message)
            order.promptTokens = try await backend.system.promptTokenCount(order.messages)
            guard order.promptTokens > room, spoken.count > 1 else { break }
            spoken.removeFirst(max(1, spoken.count / 8))
        }
        order.promptAudioTokens = spoken.reduce(0) { $0 + $1.audioTokens }
        return order
    }

    /// Announces the answer's item; false when the response has ended meanwhile.
    private func open(_ id: String) -> Bool {
        guard var active = response, active.id == id else { return false }
        active.hasItem = true
        response = active
        let item = ConversationItem(
            id: active.item, role: "assistant", content: .spoken(SpokenAnswer()))
        var wire = item.wire
        wire.status = "in_progress"
        wire.content = []
        let previous = items.last?.id
        send(
            ServerEvent("response.output_item.added") {
                ($0.responseId, $0.outputIndex, $0.item) = (id, 0, wire)
            })
        send(
            ServerEvent("conversation.item.added") {
                ($0.previousItemId, $0.item) = (PreviousItem(id: previous), wire)
            })
        send(
            part("response.content_part.added", active) {
                $0.part =
                    active.settings.speaks
                    ? .init(type: "output_audio", transcript: "")
                    : .init(type: "output_text", text: "")
            })
        return true
    }

    private func take(_ piece: ChatPiece, of id: String, _ line: EncodingLine) async throws {
        guard response?.id == id else { throw CancellationError() }
        switch piece {
        case .text(let text):
            response?.answer.append(text: text)
            guard let active = response else { return }
            let kind = active.settings.speaks ? "output_audio_transcript" : "output_text"
            send(part("response.\(kind).delta", active) { $0.delta = text })
        case .speech(let chunk):
            response?.answer.append(chunk)
            let bytes = try await line.append(chunk.samples, rate: chunk.sampleRate).0
            try sendSound(bytes, of: id)
        }
    }

    /// Sends sound in pieces of 200 ms, so that what was not sent can be taken back.
    private func sendSound(_ bytes: [UInt8], of id: String) throws {
        guard let active = response, active.id == id else { throw CancellationError() }
        let size = InputAudioBuffer.sampleRate * 2 / 5
        for start in stride(from: 0, to: bytes.count, by: size) {
            let piece = bytes[start..<min(bytes.count, start + size)]
            send(
                part("response.output_audio.delta", active) {
                    $0.delta = Data(piece).base64EncodedString()
                }, response: id,
                milliseconds: Double(piece.count) * 500 / Double(InputAudioBuffer.sampleRate))
        }
    }

    private func complete(_ id: String, _ outcome: ChatOutcome) {
        guard let active = response, active.id == id else { return }
        logContent("answer", outcome.text)
        if active.settings.speaks { lastSpoken = (active.id, active.item) }
        let isWhole = outcome.finishReason == "stop"
        close(
            active, status: isWhole ? "completed" : "incomplete",
            details: isWhole
                ? nil : .init(type: "incomplete", reason: "max_output_tokens", error: nil),
            usage: .init(outcome),
            timings: WireTimings(
                outcome.timings, total: outcome.totalSeconds, speech: outcome.speech))
    }

    private func fail(_ id: String, _ error: APIError) {
        guard let active = response, active.id == id else { return }
        let described = ServerEvent.WireError(
            type: error.type, code: error.code, message: error.message, param: error.param)
        close(active, status: "failed", details: .init(type: "failed", error: described))
        report(error, eventID: nil)
    }

    /// Ends the response early.
    ///
    /// `heardMilliseconds` cuts its item to what was played.
    func cancelResponse(reason: String, heardMilliseconds: Int? = nil) {
        guard let active = response else { return }
        active.task?.cancel()
        queue.dropSound(of: active.id)
        close(
            active, status: "cancelled", details: .init(type: "cancelled", reason: reason))
        if let heard = heardMilliseconds, active.settings.speaks,
            let index = items.firstIndex(where: { $0.id == active.item })
        {
            cut(itemAt: index, toMilliseconds: heard)
        }
    }

    /// Keeps what was made as a turn, and tells that the response is over.
    private func close(
        _ active: ActiveResponse, status: String, details: WireResponse.Details?,
        usage: WireResponse.Usage? = nil, timings: WireTimings? = nil
    ) {
        response = nil
        var reply = wire(active, status: status)
        (reply.statusDetails, reply.usage, reply.timings) = (details, usage, timings)
        if active.hasItem {
            let text = active.answer.text
            let speaks = active.settings.speaks
            let item = ConversationItem(
                id: active.item, role: "assistant",
                content: speaks ? .spoken(active.answer) : .answer(text),
                isComplete: status == "completed")
            let previous = items.last?.id
            if status != "failed" { items.append(item) }
            reply.output = [item.wire]
            if speaks {
                send(part("response.output_audio.done", active))
                send(
                    part("response.output_audio_transcript.done", active) {
                        $0.transcript = text
                    })
            } else {
                send(part("response.output_text.done", active) { $0.text = text })
            }
            send(part("response.content_part.done", active) { $0.part = item.wire.content?.first })
            send(
                ServerEvent("response.output_item.done") {
                    ($0.responseId, $0.outputIndex, $0.item) = (active.id, 0, item.wire)
                })
            send(
                ServerEvent("conversation.item.done") {
                    ($0.previousItemId, $0.item) = (PreviousItem(id: previous), item.wire)
                })
        }
        send(ServerEvent("response.done") { $0.response = reply })
    }

    /// An event about the response's only part.
    private func part(
        _ type: String, _ active: ActiveResponse, _ fill: (inout ServerEvent) -> Void = { _ in }
    ) -> ServerEvent {
        ServerEvent(type) {
            $0.responseId = active.id
            $0.itemId = active.item
            $0.outputIndex = 0
            $0.contentIndex = 0
            fill(&$0)
        }
    }

    private func wire(_ active: ActiveResponse, status: String) -> WireResponse {
        WireResponse(
            id: active.id, status: status, output: [], conversationId: "conv_" + id.dropFirst(5),
            outputModalities: active.settings.modalities,
            maxOutputTokens: active.settings.limit)
    }
}

/// Runs work, and cancels it when it takes longer.
func withLimit<Value: Sendable>(
    _ seconds: Double, _ work: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask { try await work() }
        group.addTask {
            try await Task.sleep(for: .seconds(seconds))
            throw APIError.timedOut(seconds)
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() else { throw CancellationError() }
        return value
    }
}

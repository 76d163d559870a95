// A realtime session: a conversation by voice over a socket. Events of the client change it; what
// comes of them goes into the queue. Responses run beside it and are told apart by their ids.

import Foundation
import Logging
import StepAudio

/// One client's session.
actor RealtimeSession {
    nonisolated let id = "sess_" + ID.random()
    let backend: Backend
    let client: String
    let queue: EventQueue
    var settings = SessionSettings()
    var items: [ConversationItem] = []
    var detector = VoiceActivityDetector()
    var input = InputAudioBuffer()
    /// The response that is being made.
    var response: ActiveResponse?
    /// The last spoken response, which the client may still be playing.
    var lastSpoken: (response: String, item: String)?

    init(_ backend: Backend, client: String, queue: EventQueue) {
        self.backend = backend
        self.client = client
        self.queue = queue
    }

    /// Greets the client.
    func begin() {
        send(ServerEvent("session.created") { $0.session = settings.wire(id: id) })
    }

    /// Stops everything.
    func end() {
        response?.task?.cancel()
        response = nil
        input.clear()
        for item in items {
            if case .recording(let tokens) = item.content { tokens.cancel() }
        }
        items = []
    }

    /// Handles one event; what is wrong with it is told by an error event.
    func handle(_ data: Data) async {
        var eventID: String?
        do {
            let event = try JSON.decode(ClientEvent.self, from: data)
            eventID = event.eventId
            try await handle(event)
        } catch {
            report(APIError(error), eventID: eventID)
        }
    }

    func refuseBinary() {
        report(.invalid("binary frames are not accepted; events are JSON text"), eventID: nil)
    }

    private func handle(_ event: ClientEvent) async throws {
        switch event.type {
        case "session.update": try await update(event)
        case "input_audio_buffer.append": try await append(event)
        case "input_audio_buffer.commit": try await commit()
        case "input_audio_buffer.clear":
            input.clear()
            detector.reset()
            send(ServerEvent("input_audio_buffer.cleared"))
        case "conversation.item.create": try create(event)
        case "conversation.item.retrieve":
            let index = try index(of: event.itemId)
            send(ServerEvent("conversation.item.retrieved") { $0.item = items[index].wire })
        case "conversation.item.delete":
            let index = try index(of: event.itemId)
            let id = items.remove(at: index).id
            send(ServerEvent("conversation.item.deleted") { $0.itemId = id })
        case "conversation.item.truncate": try truncate(event)
        case "response.create": try await createResponse(event.response)
        case "response.cancel":
            guard let response, event.responseId == nil || event.responseId == response.id else {
                throw APIError.invalid(
                    "there is no response to cancel", code: "response_cancel_not_active")
            }
            cancelResponse(reason: "client_cancelled")
        case "output_audio_buffer.clear":
            throw APIError.invalid(
                "output_audio_buffer.clear is for WebRTC; use response.cancel and "
                    + "conversation.item.truncate", param: "type")
        default:
            throw APIError.invalid(
                "the event type '\(event.type)' is not known; accepted: "
                    + Self.clientEvents.joined(separator: ", "), param: "type",
                code: "unknown_event")
        }
    }

    private static let clientEvents = [
        "session.update", "input_audio_buffer.append", "input_audio_buffer.commit",
        "input_audio_buffer.clear", "conversation.item.create", "conversation.item.retrieve",
        "conversation.item.delete", "conversation.item.truncate", "response.create",
        "response.cancel",
    ]

    private func update(_ event: ClientEvent) async throws {
        guard let patch = event.session else {
            throw APIError.invalid("the field session is missing", param: "session")
        }
        var next = settings
        try await next.apply(patch, backend)
        settings = next
        if let detection = settings.detection { detector.settings = detection }
        send(ServerEvent("session.updated") { $0.session = settings.wire(id: id) })
    }

    /// Sends an event; a client that leaves too much unread loses its session.
    func send(_ event: ServerEvent, response: String? = nil, milliseconds: Double = 0) {
        guard let data = try? JSON.data(event) else { return }
        if !queue.append(.event(data), response: response, milliseconds: milliseconds) {
            _ = queue.append(.close(code: 1008, reason: "too much is unread"))
            queue.finish()
        }
    }

    /// Tells an error.
    func report(_ error: APIError, eventID: String?) {
        send(
            ServerEvent("error") {
                $0.error = .init(
                    type: error.type, code: error.code, message: error.message,
                    param: error.param, eventId: eventID)
            })
    }

    /// Logs a text when the options say so.
    func logContent(_ label: String, _ text: String) {
        guard backend.options.logsContent else { return }
        backend.logger.info("content", metadata: ["session": "\(id)", "\(label)": "\(text)"])
    }
}

// The turns of a realtime session: made, removed, cut to what was heard.

import AudioSignal
import Foundation
import StepAudio

extension RealtimeSession {
    func index(of id: String?) throws -> Int {
        guard let id else { throw APIError.invalid("item_id is missing", param: "item_id") }
        guard let index = items.firstIndex(where: { $0.id == id }) else {
            throw APIError.invalid(
                "there is no item '\(id)'", param: "item_id", code: "item_not_found")
        }
        return index
    }

    /// Adds a turn that a client wrote.
    func create(_ event: ClientEvent) throws {
        guard let wire = event.item else {
            throw APIError.invalid("the field item is missing", param: "item")
        }
        guard wire.type == "message" else {
            throw APIError.invalid(
                "item.type is '\(wire.type)'; accepted: message", param: "item.type")
        }
        guard let parts = wire.content, parts.count == 1, let part = parts.first else {
            throw APIError.invalid(
                "item.content has \(wire.content?.count ?? 0) parts; accepted: 1",
                param: "item.content")
        }
        guard items.count < 1000 else {
            throw APIError.invalid("the conversation has 1000 items; no more are taken")
        }
        let content = try content(part, role: wire.role ?? "")
        let item = ConversationItem(
            id: wire.id ?? "item_" + ID.random(), role: wire.role ?? "", content: content)
        guard !items.contains(where: { $0.id == item.id }) else {
            throw APIError.invalid("there is an item '\(item.id)' already", param: "item.id")
        }
        switch event.previousItemId {
        case nil: add(item)
        case "root": add(item, at: 0)
        case let previous?: add(item, at: try index(of: previous) + 1)
        }
    }

    private func content(
        _ part: WireItem.Content, role: String
    ) throws -> ConversationItem.Content {
        switch (role, part.type) {
        case ("user", "input_text"), ("system", "input_text"), ("assistant", "output_text"):
            let text = part.text ?? ""
            try backend.checkText(text, param: "item.content.text")
            logContent("input", text)
            return role == "assistant" ? .answer(text) : .text(text)
        case ("user", "input_audio"):
            let samples = try Self.samples(part.audio, param: "item.content.audio")
            let clip = AudioClip(mono: samples, sampleRate: InputAudioBuffer.sampleRate)
            _ = try backend.checked(clip, param: "item.content.audio")
            guard clip.duration >= 0.2 else {
                throw APIError.invalid(
                    "item.content.audio is too short; at least 0.2 s are needed",
                    param: "item.content.audio")
            }
            return .recording(Task { [backend] in try await backend.encoded(.clip(clip)) })
        default:
            throw APIError.invalid(
                "a part '\(part.type)' of the role '\(role)' is not accepted; accepted: input_text "
                    + "of user and system, input_audio of user, output_text of assistant",
                param: "item.content")
        }
    }

    /// 16-bit samples in base64.
    static func samples(_ audio: String?, param: String) throws -> [Float] {
        guard let audio, let data = Data(base64Encoded: audio) else {
            throw APIError.invalid("\(param) is not base64", param: param)
        }
        guard data.count.isMultiple(of: 2) else {
            throw APIError.invalid(
                "\(param) has \(data.count) bytes; 16-bit samples take an even number",
                param: param)
        }
        return PCM16.samples(data)
    }

    /// Adds a turn and tells the client.
    func add(_ item: ConversationItem, at index: Int? = nil) {
        let place = index ?? items.count
        let previous = place > 0 ? items[place - 1].id : nil
        items.insert(item, at: place)
        for type in ["conversation.item.added", "conversation.item.done"] {
            send(
                ServerEvent(type) {
                    $0.previousItemId = PreviousItem(id: previous)
                    $0.item = item.wire
                })
        }
    }

    /// Cuts a spoken turn at a client's word.
    func truncate(_ event: ClientEvent) throws {
        let index = try index(of: event.itemId)
        guard let end = event.audioEndMs, end >= 0 else {
            throw APIError.invalid(
                "audio_end_ms is \(event.audioEndMs.map(String.init) ?? "missing"); accepted: 0 or "
                    + "more", param: "audio_end_ms")
        }
        guard case .spoken(let answer) = items[index].content else {
            throw APIError.invalid(
                "the item '\(items[index].id)' is no spoken answer", param: "item_id")
        }
        guard Double(end) <= answer.milliseconds + 100 || response?.item == items[index].id else {
            throw APIError.invalid(
                "audio_end_ms is \(end); the item has \(Int(answer.milliseconds)) ms",
                param: "audio_end_ms")
        }
        cut(itemAt: index, toMilliseconds: end)
    }

    /// Cuts a spoken turn to what was heard, and tells the client.
    func cut(itemAt index: Int, toMilliseconds end: Int) {
        guard case .spoken(var answer) = items[index].content else { return }
        answer.truncate(toMilliseconds: end)
        items[index].content = .spoken(answer)
        items[index].isComplete = false
        let id = items[index].id
        send(
            ServerEvent("conversation.item.truncated") {
                $0.itemId = id
                $0.contentIndex = 0
                $0.audioEndMs = end
            })
    }
}

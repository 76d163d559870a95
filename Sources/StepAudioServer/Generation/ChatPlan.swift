// A chat request after its fields were checked: what the models will be asked.

import AudioSignal
import Foundation
import StepAudio

/// A checked chat request.
struct ChatPlan: Sendable {
    let id = "chatcmpl-" + ID.random()
    let created = Int(Date.now.timeIntervalSince1970)
    let messages: [Message]
    let options: ChatOptions
    let stops: [String]
    /// The format of the speech, nil for an answer in text alone.
    let format: AudioFormat?
    let sampleRate: SampleRate?
    let includesUsage: Bool

    /// Checks the fields; an error names the field.
    init(_ wire: ChatRequest, _ backend: Backend, _ context: ServerContext) async throws {
        try Self.refuseUnsupported(wire)
        guard !wire.messages.isEmpty else {
            throw APIError.invalid("messages is empty", param: "messages")
        }
        var messages: [Message] = []
        for (index, message) in wire.messages.enumerated() {
            messages.append(
                try await Self.message(message, at: "messages.\(index)", backend, context))
        }
        self.messages = messages
        stops = wire.stop?.texts ?? []
        guard stops.count <= 4, stops.allSatisfy({ !$0.isEmpty && $0.count <= 256 }) else {
            throw APIError.invalid(
                "stop has \(stops.count) texts; accepted: at most 4, of 1 to 256 characters",
                param: "stop")
        }
        includesUsage = wire.streamOptions?.includeUsage ?? false
        format = try Self.format(wire)
        sampleRate = wire.stepAudio?.sampleRate.map { .hertz($0) }
        if let rate = wire.stepAudio?.sampleRate, !(8000...48_000).contains(rate) {
            throw APIError.invalid(
                "step_audio.sample_rate is \(rate); accepted: 8000 to 48000",
                param: "step_audio.sample_rate")
        }
        var options = try await Self.options(wire, backend)
        options.speaks = format != nil
        options.cacheScope = backend.cacheScope(context.client)
        options.speech.cacheScope = options.cacheScope
        self.options = options
    }

    /// The prompt with every recording as its tokens.
    func order(_ backend: Backend) async throws -> ChatOrder {
        var order = ChatOrder(messages: messages, options: options, stops: stops)
        for (index, message) in messages.enumerated() {
            var content: [Message.Part] = []
            for part in message.content ?? [] {
                guard case .audio(let sound) = part else {
                    content.append(part)
                    continue
                }
                let encoded = try await backend.encoded(sound)
                order.encodeSeconds += encoded.timings.encode
                order.promptAudioTokens += encoded.ids.count
                content.append(.audio(.tokens(encoded.text)))
            }
            if message.content != nil { order.messages[index].content = content }
        }
        order.promptTokens = try await backend.system.promptTokenCount(order.messages)
        return order
    }

    private static func refuseUnsupported(_ wire: ChatRequest) throws {
        func refuse(_ param: String, _ accepted: String) -> APIError {
            .invalid(
                "\(param) is not supported; accepted: \(accepted)", param: param,
                code: "unsupported_parameter")
        }
        if let n = wire.n, n != 1 { throw refuse("n", "1") }
        if wire.logprobs == true { throw refuse("logprobs", "false") }
        if wire.tools?.isEmpty == false { throw refuse("tools", "none") }
        if let penalty = wire.presencePenalty, penalty != 0 {
            throw refuse("presence_penalty", "0")
        }
        if let penalty = wire.frequencyPenalty, penalty != 0 {
            throw refuse("frequency_penalty", "0")
        }
        if let format = wire.responseFormat, format.type != "text" {
            throw refuse("response_format", "{\"type\": \"text\"}")
        }
    }

    private static func format(_ wire: ChatRequest) throws -> AudioFormat? {
        let modalities = wire.modalities ?? ["text"]
        if let unknown = modalities.first(where: { !["text", "audio"].contains($0) }) {
            throw APIError.invalid(
                "modalities holds '\(unknown)'; accepted: text, audio", param: "modalities")
        }
        guard modalities.contains("audio") else { return nil }
        guard let audio = wire.audio else {
            throw APIError.invalid(
                "modalities asks for audio, and the field audio with voice and format is missing",
                param: "audio", code: "missing_field")
        }
        let format = try AudioFormat(
            named: audio.format, param: "audio.format", accepted: AudioFormat.chat)
        if wire.stream == true, format != .pcm16 {
            throw APIError.invalid(
                "audio.format is '\(audio.format)' with stream; accepted: pcm16",
                param: "audio.format")
        }
        return format
    }

    private static func options(_ wire: ChatRequest, _ backend: Backend) async throws -> ChatOptions
    {
        var options = ChatOptions()
        options.sampling.temperature = try backend.ranged(
            wire.temperature ?? options.sampling.temperature, 0...2, param: "temperature")
        options.sampling.topP = try backend.ranged(
            wire.topP ?? options.sampling.topP, 0...1, param: "top_p")
        options.sampling.topP = max(options.sampling.topP, 1e-6)
        options.sampling.seed = wire.seed ?? 0
        options.speech.sampling.seed = wire.seed ?? 0
        let limit = wire.maxCompletionTokens ?? wire.maxTokens
        let name = wire.maxCompletionTokens != nil ? "max_completion_tokens" : "max_tokens"
        if let limit, limit < 1 {
            throw APIError.invalid("\(name) is \(limit); accepted: 1 or more", param: name)
        }
        options.maximumNewTokens = min(limit ?? options.maximumNewTokens, 8192)
        options.speech.speaker = try await backend.voices.speaker(named: wire.audio?.voice.id)
        let style = wire.stepAudio ?? StyleOrder()
        options.speech.style = SpeechStyle(
            emotion: style.emotion, language: style.language, pace: style.pace)
        try options.speech.style.check()
        options.speech.speedRatio = try backend.ranged(
            style.speed ?? 1, 0.25...4, param: "step_audio.speed")
        options.speech.volumeRatio = try backend.ranged(
            style.volume ?? 1, 0...10, param: "step_audio.volume")
        return options
    }

    private static func message(
        _ wire: ChatMessage, at path: String, _ backend: Backend, _ context: ServerContext
    ) async throws -> Message {
        let roles = [
            "system": "system", "developer": "system", "user": "user", "assistant": "assistant",
        ]
        guard let role = roles[wire.role] else {
            throw APIError.invalid(
                "\(path).role is '\(wire.role)'; accepted: system, developer, user, assistant",
                param: "\(path).role")
        }
        if let reference = wire.audio {
            guard
                let transcript = backend.answers.transcript(
                    of: reference.id, client: context.client)
            else {
                throw APIError.invalid(
                    "there is no audio '\(reference.id)'; it has expired or never was",
                    param: "\(path).audio.id", code: "audio_not_found")
            }
            return Message(role: role, content: [.text(transcript)])
        }
        switch wire.content {
        case nil:
            throw APIError.invalid("\(path).content is missing", param: "\(path).content")
        case .text(let text):
            try backend.checkText(text, param: "\(path).content")
            backend.logContent("input", text, context)
            return Message(role: role, content: [.text(text)])
        case .parts(let parts):
            var content: [Message.Part] = []
            for (index, part) in parts.enumerated() {
                content.append(
                    try await Self.part(part, at: "\(path).content.\(index)", backend, context))
            }
            return Message(role: role, content: content)
        }
    }

    private static func part(
        _ part: ChatMessage.Part, at path: String, _ backend: Backend, _ context: ServerContext
    ) async throws -> Message.Part {
        switch part.type {
        case "text":
            guard let text = part.text else {
                throw APIError.invalid("\(path).text is missing", param: "\(path).text")
            }
            try backend.checkText(text, param: "\(path).text")
            backend.logContent("input", text, context)
            return .text(text)
        case "input_audio":
            guard let sound = part.inputAudio else {
                throw APIError.invalid(
                    "\(path).input_audio is missing", param: "\(path).input_audio")
            }
            return .audio(.clip(try await backend.clip(sound, param: "\(path).input_audio")))
        default:
            throw APIError.invalid(
                "\(path).type is '\(part.type)'; accepted: text, input_audio",
                param: "\(path).type")
        }
    }
}

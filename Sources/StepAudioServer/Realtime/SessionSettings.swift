// The settings of a realtime session, and how a client's changes are checked and taken over.

import Foundation
import StepAudio

/// What a session is set to.
struct SessionSettings: Sendable, Equatable {
    var instructions = ""
    var speaks = true
    var voice = "default"
    var speed = 1.0
    var limit = TokenLimit.unlimited
    var style = RealtimeStyle()
    var detection: VoiceActivityDetector.Settings? = .init()
    var createsResponse = true
    var interruptsResponse = true

    var modalities: [String] { [speaks ? "audio" : "text"] }

    /// Takes over a change; an error names the field, and nothing is changed then.
    mutating func apply(_ patch: SessionPatch, _ backend: Backend) async throws {
        var next = self
        if let type = patch.type, type != "realtime" {
            throw APIError.invalid(
                "session.type is '\(type)'; accepted: realtime", param: "session.type")
        }
        if patch.tools?.isEmpty == false {
            throw APIError.invalid(
                "session.tools is not supported; accepted: none", param: "session.tools")
        }
        if let text = patch.instructions {
            guard text.count <= backend.limits.textCharacters else {
                throw APIError.invalid(
                    "session.instructions has \(text.count) characters; accepted: "
                        + "\(backend.limits.textCharacters)", param: "session.instructions")
            }
            next.instructions = text
        }
        try next.apply(
            modalities: patch.outputModalities, limit: patch.maxOutputTokens,
            style: patch.stepAudio, backend)
        if let input = patch.audio?.input { try next.apply(input) }
        if let output = patch.audio?.output { try await next.apply(output, backend) }
        self = next
    }

    /// The settings of one response.
    func merging(_ order: ResponseOrder, _ backend: Backend) async throws -> SessionSettings {
        var next = self
        next.instructions = order.instructions ?? instructions
        try next.apply(
            modalities: order.outputModalities, limit: order.maxOutputTokens,
            style: order.stepAudio, backend)
        if let output = order.audio?.output { try await next.apply(output, backend) }
        return next
    }

    private mutating func apply(
        modalities: [String]?, limit: TokenLimit?, style: RealtimeStyle?, _ backend: Backend
    ) throws {
        if let modalities {
            guard modalities == ["audio"] || modalities == ["text"] else {
                throw APIError.invalid(
                    "output_modalities is \(modalities); accepted: [\"audio\"] or [\"text\"]",
                    param: "output_modalities")
            }
            speaks = modalities == ["audio"]
        }
        self.limit = limit ?? self.limit
        guard let style else { return }
        try SpeechStyle(emotion: style.emotion, language: style.language, pace: style.pace).check()
        _ = try backend.ranged(style.volume ?? 1, 0...10, param: "step_audio.volume")
        _ = try backend.ranged(style.temperature ?? 0.7, 0...2, param: "step_audio.temperature")
        self.style = style
    }

    private mutating func apply(_ input: SessionPatch.Input) throws {
        try Self.check(input.format, param: "session.audio.input.format")
        if case .value = input.transcription {
            throw APIError.invalid(
                "session.audio.input.transcription is not supported: the model hears recordings "
                    + "without writing them down; accepted: null",
                param: "session.audio.input.transcription")
        }
        switch input.turnDetection {
        case .absent: break
        case .null: detection = nil
        case .value(let asked): try apply(asked)
        }
    }

    private mutating func apply(_ asked: SessionPatch.TurnDetection) throws {
        let name = "session.audio.input.turn_detection"
        if let type = asked.type, type != "server_vad" {
            throw APIError.invalid(
                "\(name).type is '\(type)'; accepted: server_vad, or null for none",
                param: "\(name).type")
        }
        var next = detection ?? .init()
        next.threshold = asked.threshold ?? next.threshold
        next.prefixPaddingMilliseconds = asked.prefixPaddingMs ?? next.prefixPaddingMilliseconds
        next.silenceMilliseconds = asked.silenceDurationMs ?? next.silenceMilliseconds
        guard (0...1).contains(next.threshold) else {
            throw APIError.invalid(
                "threshold is \(next.threshold); accepted: 0 to 1", param: "\(name).threshold")
        }
        guard (0...5000).contains(next.prefixPaddingMilliseconds),
            (100...10_000).contains(next.silenceMilliseconds)
        else {
            throw APIError.invalid(
                "prefix_padding_ms is \(next.prefixPaddingMilliseconds) and silence_duration_ms "
                    + "\(next.silenceMilliseconds); accepted: 0 to 5000 and 100 to 10000",
                param: name)
        }
        detection = next
        createsResponse = asked.createResponse ?? createsResponse
        interruptsResponse = asked.interruptResponse ?? interruptsResponse
    }

    private mutating func apply(_ output: SessionPatch.Output, _ backend: Backend) async throws {
        try Self.check(output.format, param: "session.audio.output.format")
        if let voice = output.voice?.id {
            _ = try await backend.voices.speaker(named: voice)
            self.voice = voice
        }
        speed = try backend.ranged(
            output.speed ?? speed, 0.25...4, param: "session.audio.output.speed")
    }

    private static func check(_ format: SessionPatch.Format?, param: String) throws {
        guard let format else { return }
        guard format.type == "audio/pcm", (format.rate ?? 24_000) == 24_000 else {
            throw APIError.invalid(
                "\(param) is \(format.type) at \(format.rate ?? 0) Hz; accepted: audio/pcm at 24000",
                param: param)
        }
    }

    /// What the models are asked for.
    func options(_ backend: Backend) async throws -> ChatOptions {
        var options = ChatOptions()
        options.speaks = speaks
        options.sampling.seed = style.seed ?? 0
        options.sampling.temperature = style.temperature ?? options.sampling.temperature
        if case .tokens(let count) = limit { options.maximumNewTokens = min(count, 8192) }
        options.speech.speaker = try await backend.voices.speaker(named: voice)
        options.speech.style = SpeechStyle(
            emotion: style.emotion, language: style.language, pace: style.pace)
        options.speech.speedRatio = speed
        options.speech.volumeRatio = style.volume ?? 1
        options.speech.sampling.seed = style.seed ?? 0
        return options
    }

    /// The settings as clients see them.
    func wire(id: String) -> WireSession {
        WireSession(
            id: id, model: Backend.chatModel, outputModalities: modalities,
            instructions: instructions, maxOutputTokens: limit,
            audio: .init(
                input: .init(
                    turnDetection: detection.map {
                        WireSession.Detection(
                            threshold: $0.threshold,
                            prefixPaddingMs: $0.prefixPaddingMilliseconds,
                            silenceDurationMs: $0.silenceMilliseconds,
                            createResponse: createsResponse, interruptResponse: interruptsResponse)
                    }), output: .init(voice: voice, speed: speed)), stepAudio: style)
    }
}

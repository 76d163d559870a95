// POST /v1/audio/speech: a text in, speech out, as bytes or as server-sent events, while it is made.

import Foundation
import HTTPTypes
import Hummingbird
import StepAudio

extension Backend {
    /// Speaks a text.
    func speech(_ request: Request, _ context: ServerContext) async throws -> Response {
        let start = ContinuousClock.now
        let order = try await request.decode(SpeechRequest.self, limit: limits.bodyBytes)
        var options = try await speechOptions(order)
        options.cacheScope = cacheScope(context.client)
        let format = try AudioFormat(
            named: order.responseFormat ?? "mp3", param: "response_format",
            accepted: AudioFormat.speech)
        logContent("input", order.input, context)
        switch order.streamFormat ?? "audio" {
        case "audio":
            return try await soundStream(order, options, format, context, since: start)
        case "sse":
            return try await eventStream(order, options, format, context, since: start)
        case let other:
            throw APIError.invalid(
                "stream_format is '\(other)'; accepted: audio, sse", param: "stream_format")
        }
    }

    /// Bytes of the format; timings follow the body as a `Server-Timing` field.
    private func soundStream(
        _ order: SpeechRequest, _ options: SpeechOptions, _ format: AudioFormat,
        _ context: ServerContext, since start: ContinuousClock.Instant
    ) async throws -> Response {
        let rate = format.isRaw ? order.sampleRate.hertz ?? 24_000 : order.sampleRate.hertz ?? 0
        var headers: HTTPFields = [
            .contentType: format.mediaType(sampleRate: rate), .trailer: "Server-Timing",
        ]
        headers[.cacheControl] = "no-store"
        return try await stream(context, headers: headers) { [self] sink in
            let figures = try await encoded(order, options, format, since: start) { bytes, _ in
                sink.send(bytes)
            }
            let timings = WireTimings(
                figures.timings, total: figures.totalSeconds, speech: figures)
            return [.serverTiming: timings.serverTiming]
        }
    }

    /// `speech.audio.delta` events with base64 sound, then `speech.audio.done`.
    private func eventStream(
        _ order: SpeechRequest, _ options: SpeechOptions, _ format: AudioFormat,
        _ context: ServerContext, since start: ContinuousClock.Instant
    ) async throws -> Response {
        try await stream(
            context, headers: .eventStream, describe: { StreamSink.event($0) }
        ) { [self] sink in
            let figures = try await encoded(order, options, format, since: start) { bytes, rate in
                try sink.event(
                    SpeechStreamEvent(
                        type: "speech.audio.delta", audio: Data(bytes).base64EncodedString(),
                        sampleRate: rate))
            }
            let read = try await system.speechTokenCount(order.input)
            try sink.event(
                SpeechStreamEvent(
                    type: "speech.audio.done",
                    usage: .init(
                        inputTokens: read, outputTokens: figures.audioTokens,
                        totalTokens: read + figures.audioTokens),
                    timings: WireTimings(
                        figures.timings, total: figures.totalSeconds, speech: figures)))
            return nil
        }
    }

    /// Speaks and encodes; `send` hears bytes as they come, with their sample rate.
    private func encoded(
        _ order: SpeechRequest, _ options: SpeechOptions, _ format: AudioFormat,
        since start: ContinuousClock.Instant, send: @Sendable ([UInt8], Int) throws -> Void
    ) async throws -> SpeechFigures {
        let line = EncodingLine(format, wanted: order.sampleRate)
        let figures = try await speak(order.input, options: options, since: start) { chunk in
            let (bytes, rate) = try await line.append(chunk.samples, rate: chunk.sampleRate)
            if !bytes.isEmpty { try send(bytes, rate) }
        }
        let (bytes, rate) = try await line.finish()
        if !bytes.isEmpty { try send(bytes, rate) }
        count(figures, endpoint: "/v1/audio/speech")
        return figures
    }

    /// The library's options for a request; refuses what is out of range by the field's name.
    private func speechOptions(_ order: SpeechRequest) async throws -> SpeechOptions {
        try checkText(order.input, param: "input")
        if let instructions = order.instructions, instructions.count > limits.textCharacters {
            throw APIError.invalid(
                "instructions has \(instructions.count) characters; accepted: "
                    + "\(limits.textCharacters)", param: "instructions")
        }
        var options = SpeechOptions()
        options.speaker = try await voices.speaker(named: order.voice.id)
        let asked = order.instructions.map(Instructions.style) ?? SpeechStyle()
        options.style = SpeechStyle(
            emotion: order.emotion ?? asked.emotion, language: order.language ?? asked.language,
            pace: order.pace ?? asked.pace)
        try options.style.check()
        options.vocalStyle = order.style
        options.speedRatio = try ranged(order.speed ?? 1, 0.25...4, param: "speed")
        options.volumeRatio = try ranged(order.volume ?? 1, 0...10, param: "volume")
        options.sampling.temperature = try ranged(
            order.temperature ?? options.sampling.temperature, 0...2, param: "temperature")
        options.sampling.seed = order.seed ?? 0
        return options
    }

    /// Refuses an empty or too long text.
    func checkText(_ text: String, param: String) throws {
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw APIError.invalid("\(param) is empty", param: param)
        }
        guard text.count <= limits.textCharacters else {
            throw APIError.invalid(
                "\(param) has \(text.count) characters; accepted: \(limits.textCharacters)",
                param: param, code: "text_too_long")
        }
    }

    /// Refuses a number outside a range.
    func ranged<Value: BinaryFloatingPoint>(
        _ value: Value, _ range: ClosedRange<Value>, param: String
    ) throws -> Value {
        guard range.contains(value) else {
            throw APIError.invalid(
                "\(param) is \(value); accepted: \(range.lowerBound) to \(range.upperBound)",
                param: param)
        }
        return value
    }
}

extension SpeechStyle {
    /// Refuses a tag that the model does not know, by the field's name.
    func check() throws {
        for (param, value, accepted) in [
            ("emotion", emotion, Self.emotions), ("language", language, Self.languages),
            ("pace", pace, Self.paces),
        ] {
            if let value, !accepted.contains(value) {
                throw APIError.invalid(
                    "\(param) is '\(value)'; accepted: \(accepted.joined(separator: ", "))",
                    param: param)
            }
        }
    }
}

extension Optional where Wrapped == SampleRate {
    /// The rate in Hz, nil when none or the native one is asked for.
    var hertz: Int? {
        if case .hertz(let rate) = self { rate } else { nil }
    }
}

extension HTTPFields {
    /// The head of a stream of server-sent events.
    static var eventStream: HTTPFields {
        [
            .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-store",
            .xAccelBuffering: "no",
        ]
    }
}

extension HTTPField.Name {
    /// Names that the package does not know, all of them legal.
    private static func known(_ name: String) -> HTTPField.Name { HTTPField.Name(name) ?? .via }
    static let serverTiming = known("Server-Timing")
    static let trailer = known("Trailer")
    static let xAccelBuffering = known("X-Accel-Buffering")
    static let requestID = known("X-Request-Id")
}

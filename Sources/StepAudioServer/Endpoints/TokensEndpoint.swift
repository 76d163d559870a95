// POST /v1/audio/tokens and /v1/audio/tokens/decode: recordings as the model's audio tokens, and back.

import Foundation
import Hummingbird
import StepAudio

/// A recording to encode.
struct EncodeRequest: Decodable, Sendable {
    var model: String?
    var inputAudio: SoundData
    /// Whether silence at both ends is cut off first, as for voice prompts.
    var trim: Bool?
}

/// A recording as tokens.
package struct EncodeReply: Codable, Sendable {
    var object = "audio.tokens"
    /// `<audio_N>` without separators.
    package var tokens: String
    /// The N of every token, interleaved 2:3.
    package var ids: [Int]
    var linguistic: [Int]
    var semantic: [Int]
    /// Length of the recording in seconds.
    package var duration: Double
    var timings: WireTimings
}

/// Tokens to hear: one of `tokens` and `ids`.
struct DecodeRequest: Decodable, Sendable {
    var model: String?
    var tokens: String?
    var ids: [Int]?
    var voice: VoiceReference?
    var responseFormat: String?
    var sampleRate: SampleRate?
    var speed: Double?
    var volume: Double?
    var seed: UInt64?
}

extension Backend {
    /// Encodes a recording.
    func encodeTokens(_ request: Request, _ context: ServerContext) async throws -> Response {
        let start = ContinuousClock.now
        let order = try await request.decode(EncodeRequest.self, limit: limits.bodyBytes)
        let clip = try await clip(order.inputAudio, param: "input_audio")
        let encoded = try await perform(context) { [self] in
            do {
                return try await system.encode(.clip(clip), trim: order.trim ?? false)
            } catch {
                throw APIError(error, param: "input_audio")
            }
        }
        metrics.add("stepaudio_recording_seconds_total", encoded.seconds)
        metrics.add("stepaudio_tokens_total", Double(encoded.ids.count), [("kind", "recording")])
        return try JSON.response(
            EncodeReply(
                tokens: encoded.text, ids: encoded.ids, linguistic: encoded.linguistic,
                semantic: encoded.semantic, duration: encoded.seconds,
                timings: WireTimings(encoded.timings, total: start.secondsUntilNow)))
    }

    /// Speaks tokens in a voice.
    func decodeTokens(_ request: Request, _ context: ServerContext) async throws -> Response {
        let start = ContinuousClock.now
        let order = try await request.decode(DecodeRequest.self, limit: limits.bodyBytes)
        let format = try AudioFormat(
            named: order.responseFormat ?? "wav", param: "response_format",
            accepted: AudioFormat.speech)
        let tokens: String
        switch (order.tokens, order.ids) {
        case (let text?, nil): tokens = text
        case (nil, let ids?): tokens = ids.map { "<audio_\($0)>" }.joined()
        default:
            throw APIError.invalid("exactly one of tokens and ids is accepted", param: "tokens")
        }
        let count = tokens.count { $0 == "<" }
        let largest = Int(limits.audioSeconds * 42)
        guard count <= largest else {
            throw APIError.invalid(
                "there are \(count) tokens; accepted: \(largest)", param: "tokens",
                code: "audio_too_long")
        }
        var options = SpeechOptions()
        options.speaker = try await voices.speaker(named: order.voice?.id)
        options.speedRatio = try ranged(order.speed ?? 1, 0.25...4, param: "speed")
        options.volumeRatio = try ranged(order.volume ?? 1, 0...10, param: "volume")
        options.sampling.seed = order.seed ?? 0
        let spoken = try await perform(context) { [self, options] in
            try await system.decode(tokens, options: options)
        }
        let native = spoken.speech.sampleRate
        let wanted = order.sampleRate == .native ? native : order.sampleRate.hertz
        let bytes = try await AudioEncoder.encode(
            spoken.speech.samples, as: format, sourceRate: native, sampleRate: wanted)
        metrics.add("stepaudio_speech_seconds_total", spoken.speech.seconds)
        let timings = WireTimings(spoken.timings, total: start.secondsUntilNow)
        let rate = AudioEncoder.rate(format, source: native, wanted: wanted)
        return Response(
            status: .ok,
            headers: [
                .contentType: format.mediaType(sampleRate: rate),
                .serverTiming: timings.serverTiming,
            ], body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}

// Recordings that clients send: decoded off the event loops, held to the server's limits.

import AudioSignal
import Foundation
import StepAudio

extension Backend {
    /// The recording in a JSON field.
    func clip(_ sound: SoundData, param: String) async throws -> AudioClip {
        guard let data = Data(base64Encoded: sound.data, options: .ignoreUnknownCharacters) else {
            throw APIError.invalid("\(param).data is not base64", param: "\(param).data")
        }
        if sound.format == "pcm16" {
            return try checked(
                AudioClip(channels: [PCM16.samples(data)], sampleRate: 24_000), param: param)
        }
        return try await clip(data, param: param)
    }

    /// A recording in any format that is read here or by `ffmpeg`.
    func clip(_ data: Data, param: String) async throws -> AudioClip {
        let result: Result<AudioClip, any Error> = await withCheckedContinuation { continuation in
            // Decoding may wait for another program, so it has a thread of its own.
            DispatchQueue.global().async {
                continuation.resume(
                    returning: Result { try AudioFile.read(data: data, name: "the recording") })
            }
        }
        do {
            return try checked(result.get(), param: param)
        } catch {
            throw APIError(error, param: param)
        }
    }

    /// Refuses a recording that is too long.
    func checked(_ clip: AudioClip, param: String) throws -> AudioClip {
        guard clip.duration <= limits.audioSeconds else {
            throw APIError.invalid(
                "\(param) lasts \(Int(clip.duration.rounded(.up))) s; accepted: "
                    + "\(Int(limits.audioSeconds)) s", param: param, code: "audio_too_long")
        }
        return clip
    }

    /// A recording as tokens; refuses one that is too short for any.
    func encoded(_ sound: Message.Sound) async throws -> EncodedAudio {
        let encoded: EncodedAudio
        do {
            encoded = try await system.encode(sound)
        } catch {
            throw APIError(error, param: "input_audio")
        }
        metrics.add("stepaudio_recording_seconds_total", encoded.seconds)
        guard !encoded.ids.isEmpty else {
            throw APIError.invalid(
                "the recording is too short; at least 0.2 s are needed", param: "input_audio",
                code: "audio_too_short")
        }
        metrics.add("stepaudio_tokens_total", Double(encoded.ids.count), [("kind", "recording")])
        return encoded
    }
}

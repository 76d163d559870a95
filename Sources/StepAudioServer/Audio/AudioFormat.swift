// The audio formats that answers come in.

import AudioSignal
import Foundation

/// A format of an answer's sound.
enum AudioFormat: String, Codable, Sendable, CaseIterable {
    case wav, pcm, pcm16, mp3, opus, aac, flac

    /// The formats of `/v1/audio/speech`.
    static let speech: [AudioFormat] = [.wav, .pcm, .mp3, .opus, .aac, .flac]
    /// The formats of chat completions.
    static let chat: [AudioFormat] = [.wav, .pcm16, .mp3, .opus, .aac, .flac]

    /// Reads a name; refuses one that is not among `accepted`, and one that needs a program that is
    /// not installed.
    init(named name: String, param: String, accepted: [AudioFormat]) throws {
        guard let format = AudioFormat(rawValue: name), accepted.contains(format) else {
            throw APIError.invalid(
                "\(param) is '\(name)'; accepted: "
                    + accepted.map(\.rawValue).joined(separator: ", "), param: param)
        }
        guard !format.needsTranscoder || FFmpeg.path != nil else {
            throw APIError.invalid(
                "\(param) '\(name)' needs ffmpeg, which this server does not have; "
                    + "wav and pcm work without it", param: param, code: "format_unavailable")
        }
        self = format
    }

    /// Whether `ffmpeg` makes it.
    var needsTranscoder: Bool {
        switch self {
        case .wav, .pcm, .pcm16: false
        case .mp3, .opus, .aac, .flac: true
        }
    }

    /// Whether samples without a header say nothing about their rate, so that clients assume 24 kHz.
    var isRaw: Bool { self == .pcm || self == .pcm16 }

    /// The media type of a file in this format.
    func mediaType(sampleRate: Int) -> String {
        switch self {
        case .wav: "audio/wav"
        case .pcm, .pcm16: "audio/pcm; rate=\(sampleRate); channels=1; bits=16"
        case .mp3: "audio/mpeg"
        case .opus: "audio/ogg; codecs=opus"
        case .aac: "audio/aac"
        case .flac: "audio/flac"
        }
    }

    /// What `ffmpeg` is told about its output.
    var transcoderArguments: [String] {
        switch self {
        case .wav, .pcm, .pcm16: []
        case .mp3: ["-c:a", "libmp3lame", "-b:a", "96k", "-f", "mp3"]
        case .opus: ["-c:a", "libopus", "-b:a", "48k", "-page_duration", "20000", "-f", "ogg"]
        case .aac: ["-c:a", "aac", "-b:a", "96k", "-f", "adts"]
        case .flac: ["-c:a", "flac", "-f", "flac"]
        }
    }
}

// Writes WAV files.

import Foundation

/// How samples are stored in a WAV file.
public enum WAVSampleFormat: Sendable {
    /// 16-bit integers, rounded and clipped.
    case pcm16
    /// 32-bit floats, kept as they are.
    case float32
}

extension AudioClip {
    /// The clip as a WAV file's bytes.
    public func wavData(format: WAVSampleFormat = .pcm16) -> Data {
        let sampleBytes = format == .pcm16 ? 2 : 4
        let dataBytes = frameCount * channels.count * sampleBytes
        var data = Data(capacity: 44 + dataBytes)
        func append(_ value: Int, _ count: Int) {
            for index in 0..<count {
                data.append(UInt8(truncatingIfNeeded: value >> (8 * index)))
            }
        }
        data.append(contentsOf: "RIFF".utf8)
        append(min(36 + dataBytes, 0xFFFF_FFFF), 4)
        data.append(contentsOf: "WAVEfmt ".utf8)
        append(16, 4)
        append(format == .pcm16 ? 1 : 3, 2)
        append(channels.count, 2)
        append(sampleRate, 4)
        append(sampleRate * channels.count * sampleBytes, 4)
        append(channels.count * sampleBytes, 2)
        append(sampleBytes * 8, 2)
        data.append(contentsOf: "data".utf8)
        append(min(dataBytes, 0xFFFF_FFFF), 4)
        for frame in 0..<frameCount {
            for channel in channels {
                switch format {
                case .pcm16:
                    let scaled = (channel[frame] * 32768).rounded(.toNearestOrEven)
                    append(Int(max(-32768, min(32767, scaled))), 2)
                case .float32: append(Int(channel[frame].bitPattern), 4)
                }
            }
        }
        return data
    }

    /// Writes the clip as a WAV file; the file is replaced in one step.
    public func writeWAV(to path: String, format: WAVSampleFormat = .pcm16) throws(AudioError) {
        do {
            try wavData(format: format).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw .file(path: path, reason: "cannot be written: \(Self.reason(error))")
        }
    }

    private static func reason(_ error: any Error) -> String {
        let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
        return (underlying ?? error as NSError).localizedDescription
    }
}

// Turns the samples of an answer into bytes of a format, piece by piece.

import AudioSignal

/// Encodes one answer.
actor AudioEncoder {
    /// Rate of the encoded sound.
    let sampleRate: Int
    private let format: AudioFormat
    private var resampler: Resampler.Stream
    private let transcoder: Transcoder?
    private var hasHeader = false

    /// `sampleRate` is the rate wanted; nil keeps the source's, but raw samples come at 24 kHz.
    init(_ format: AudioFormat, sourceRate: Int, sampleRate wanted: Int?) throws {
        self.format = format
        sampleRate = Self.rate(format, source: sourceRate, wanted: wanted)
        resampler = Resampler.Stream(Resampler(from: sourceRate, to: sampleRate))
        transcoder = format.needsTranscoder ? try Transcoder(format, sampleRate: sampleRate) : nil
    }

    /// The rate of an answer.
    static func rate(_ format: AudioFormat, source: Int, wanted: Int?) -> Int {
        wanted ?? (format.isRaw ? 24_000 : source)
    }

    /// The bytes that are ready after these samples; some formats hold a little back.
    func append(_ samples: [Float]) async throws -> [UInt8] {
        let pcm = PCM16.bytes(resampler.append(samples))
        if let transcoder { return try await transcoder.append(pcm) }
        return header() + pcm
    }

    /// The last bytes.
    func finish() async throws -> [UInt8] {
        let pcm = PCM16.bytes(resampler.finish())
        if let transcoder { return try await transcoder.finish(pcm) }
        return header() + pcm
    }

    /// A WAV header of unknown length, once, as streams have it.
    private func header() -> [UInt8] {
        guard format == .wav, !hasHeader else { return [] }
        hasHeader = true
        return WAVHeader.bytes(sampleRate: sampleRate, dataBytes: nil)
    }

    /// A whole recording at once, its lengths in the header.
    static func encode(
        _ samples: [Float], as format: AudioFormat, sourceRate: Int, sampleRate: Int?
    ) async throws -> [UInt8] {
        let encoder = try AudioEncoder(format, sourceRate: sourceRate, sampleRate: sampleRate)
        var bytes = try await encoder.append(samples)
        bytes += try await encoder.finish()
        guard format == .wav else { return bytes }
        let data = bytes.count - WAVHeader.length
        bytes.replaceSubrange(
            ..<WAVHeader.length,
            with: WAVHeader.bytes(sampleRate: encoder.sampleRate, dataBytes: data))
        return bytes
    }
}

/// The 44 bytes in front of 16-bit mono samples.
package enum WAVHeader {
    package static let length = 44

    /// `dataBytes` is nil for a stream, whose header claims the largest length there is.
    package static func bytes(sampleRate: Int, dataBytes: Int?) -> [UInt8] {
        var bytes: [UInt8] = []
        func append(_ text: String) { bytes += Array(text.utf8) }
        func append(_ value: UInt32, _ count: Int) {
            for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
        }
        let size = dataBytes.map { UInt32(clamping: $0) }
        append("RIFF")
        append(size.map { $0 + 36 } ?? .max, 4)
        append("WAVEfmt ")
        append(16, 4)
        append(1, 2)
        append(1, 2)
        append(UInt32(sampleRate), 4)
        append(UInt32(sampleRate * 2), 4)
        append(2, 2)
        append(16, 2)
        append("data")
        append(size ?? .max, 4)
        return bytes
    }
}

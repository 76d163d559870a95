// WAV files: RIFF and RF64 chunks, PCM of 8 to 32 bits, float of 32 and 64 bits, the extensible
// form, any rate and channel count. Source: Microsoft, "Multiple Channel Audio Data and WAVE
// Files"; EBU Tech 3306 for RF64.

/// Reads WAV files from bytes.
public enum WAVReader {
    /// Whether the bytes begin like a WAV file.
    public static func recognises(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 12 && (tag(bytes, 0) == "RIFF" || tag(bytes, 0) == "RF64")
            && tag(bytes, 8) == "WAVE"
    }

    struct Format: Equatable {
        var code: Int
        var channels: Int
        var rate: Int
        var blockBytes: Int
        var bits: Int
    }

    /// Decodes a file.
    ///
    /// A data chunk whose size is 0, 0xFFFFFFFF or larger than the file reads to the end of the
    /// file, as streams and interrupted recordings need it, unless what follows a size of 0 is
    /// further chunks; a last incomplete frame is dropped.
    public static func read(_ bytes: [UInt8], source: String) throws(AudioError) -> AudioClip {
        func malformed(_ reason: String) -> AudioError {
            .malformed(source: source, reason: reason)
        }
        guard bytes.count >= 12 else { throw malformed("it has \(bytes.count) bytes") }
        guard recognises(bytes) else {
            throw malformed("it starts with '\(tag(bytes, 0))', not RIFF ... WAVE")
        }
        var format: Format?
        var largeDataSize: Int?
        var position = 12
        while position + 8 <= bytes.count {
            let name = tag(bytes, position)
            let size = Int(number(bytes, position + 4, 4))
            let body = position + 8
            switch name {
            case "ds64":
                guard size >= 24, body + 24 <= bytes.count else {
                    throw malformed("the ds64 chunk has \(size) bytes, 24 are needed")
                }
                largeDataSize = Int(exactly: number(bytes, body + 8, 8))
            case "fmt ":
                format = try readFormat(bytes, body: body, size: size, source: source)
            case "data":
                guard let format else { throw malformed("the data chunk precedes the fmt chunk") }
                let stated = size == 0xFFFF_FFFF ? largeDataSize ?? 0 : size
                let rest = bytes.count - body
                if size == 0, isRowOfChunks(bytes, from: body) {
                    throw malformed("it has no samples")
                }
                let available = stated == 0 || stated > rest ? rest : stated
                return try decode(
                    bytes, from: body, count: available, format: format, source: source)
            default: break
            }
            let (next, overflow) = body.addingReportingOverflow(size + size % 2)
            guard !overflow, next <= bytes.count + 1 else {
                throw malformed(
                    "chunk '\(name)' states \(size) bytes, \(bytes.count - body) follow")
            }
            position = next
        }
        throw malformed(format == nil ? "there is no fmt chunk" : "there is no data chunk")
    }

    /// Whether whole chunks with printable names fill the rest of the file.
    private static func isRowOfChunks(_ bytes: [UInt8], from start: Int) -> Bool {
        var position = start
        while position + 8 <= bytes.count {
            guard bytes[position..<position + 4].allSatisfy({ (0x20...0x7E).contains($0) }) else {
                return false
            }
            let size = Int(number(bytes, position + 4, 4))
            position += 8 + size + size % 2
        }
        return position == bytes.count || position == bytes.count + 1
    }

    private static func readFormat(
        _ bytes: [UInt8], body: Int, size: Int, source: String
    ) throws(AudioError) -> Format {
        func malformed(_ reason: String) -> AudioError {
            .malformed(source: source, reason: reason)
        }
        guard size >= 16, body + size <= bytes.count else {
            throw malformed(
                "the fmt chunk has \(min(size, bytes.count - body)) bytes, 16 are needed")
        }
        var format = Format(
            code: Int(number(bytes, body, 2)), channels: Int(number(bytes, body + 2, 2)),
            rate: Int(number(bytes, body + 4, 4)), blockBytes: Int(number(bytes, body + 12, 2)),
            bits: Int(number(bytes, body + 14, 2)))
        if format.code == 0xFFFE {
            guard size >= 40 else {
                throw malformed("the extensible fmt chunk has \(size) bytes, 40 are needed")
            }
            format.code = Int(number(bytes, body + 24, 2))
        }
        let coding = "coding \(format.code) with \(format.bits) bits"
        switch (format.code, format.bits) {
        case (1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64): break
        case (1, _), (3, _): throw .unsupported(source: source, coding: coding)
        default: throw .unsupported(source: source, coding: coding)
        }
        guard (1...256).contains(format.channels) else {
            throw malformed("it has \(format.channels) channels; accepted: 1 to 256")
        }
        guard AudioClip.acceptedRates.contains(format.rate) else {
            throw malformed(AudioError.badRate(format.rate).description)
        }
        guard format.blockBytes == format.channels * format.bits / 8 else {
            throw malformed(
                "a frame of \(format.channels) channels of \(format.bits) bits cannot have "
                    + "\(format.blockBytes) bytes")
        }
        return format
    }

    private static func decode(
        _ bytes: [UInt8], from start: Int, count: Int, format: Format, source: String
    ) throws(AudioError) -> AudioClip {
        let frames = count / format.blockBytes
        guard frames > 0 else { throw .malformed(source: source, reason: "it has no samples") }
        let sampleBytes = format.bits / 8
        let channels = (0..<format.channels).map { channel in
            (0..<frames).map { frame in
                let at = start + frame * format.blockBytes + channel * sampleBytes
                return sample(bytes, at, format)
            }
        }
        do {
            return try AudioClip(channels: channels, sampleRate: format.rate)
        } catch {
            throw .malformed(source: source, reason: error.description)
        }
    }

    private static func sample(_ bytes: [UInt8], _ at: Int, _ format: Format) -> Float {
        switch (format.code, format.bits) {
        case (1, 8): return (Float(bytes[at]) - 128) / 128
        case (1, 16): return Float(Int16(truncatingIfNeeded: number(bytes, at, 2))) / 32768
        case (1, 24):
            let value = Int32(truncatingIfNeeded: number(bytes, at, 3) << 8) >> 8
            return Float(value) / 8_388_608
        case (1, 32):
            return Float(Double(Int32(truncatingIfNeeded: number(bytes, at, 4))) / 2_147_483_648)
        case (3, 32): return Float(bitPattern: UInt32(truncatingIfNeeded: number(bytes, at, 4)))
        default: return Float(Double(bitPattern: number(bytes, at, 8)))
        }
    }

    private static func tag(_ bytes: [UInt8], _ at: Int) -> String {
        String(decoding: bytes[at..<min(at + 4, bytes.count)], as: UTF8.self)
    }

    private static func number(_ bytes: [UInt8], _ at: Int, _ count: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<count {
            value |= UInt64(bytes[at + index]) << UInt64(8 * index)
        }
        return value
    }
}

// WAV files in every common form, laid out by hand, and broken ones with their exact errors.

import AudioSignal
import Foundation
import Testing

/// A WAV file laid out by hand; every field can be made to lie.
struct HandMadeWAV {
    var code = 1
    var channels = 1
    var rate = 16_000
    var bits = 16
    var blockBytes: Int?
    var data: [UInt8] = [0, 0x40, 0, 0xC0]
    var statedDataSize: Int?
    var formatSize = 16
    var extensible = false
    /// Chunks between the format and the data.
    var between: [UInt8] = []

    static func little(_ value: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    static func chunk(_ name: String, _ body: [UInt8], size: Int? = nil) -> [UInt8] {
        Array(name.utf8) + little(size ?? body.count, 4) + body + (body.count % 2 == 1 ? [0] : [])
    }

    var format: [UInt8] {
        var body = Self.little(extensible ? 0xFFFE : code, 2) + Self.little(channels, 2)
        body += Self.little(rate, 4) + Self.little(0, 4)
        body += Self.little(blockBytes ?? channels * bits / 8, 2) + Self.little(bits, 2)
        if extensible {
            body += Self.little(22, 2) + Self.little(bits, 2) + Self.little(0, 4)
            body += Self.little(code, 2) + [UInt8](repeating: 0, count: 14)
        }
        return Self.chunk("fmt ", body, size: extensible ? 40 : formatSize)
    }

    var bytes: [UInt8] {
        let body = format + between + Self.chunk("data", data, size: statedDataSize)
        return Array("RIFF".utf8) + Self.little(4 + body.count, 4) + Array("WAVE".utf8) + body
    }
}

@Suite struct SoundFileTests {
    static func floats(_ values: [Float]) -> [UInt8] {
        values.flatMap { HandMadeWAV.little(Int($0.bitPattern), 4) }
    }

    static func doubles(_ values: [Double]) -> [UInt8] {
        values.flatMap { value in
            (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
        }
    }

    static let forms: [(String, HandMadeWAV)] = [
        ("8 bits", HandMadeWAV(bits: 8, data: [192, 64])),
        ("16 bits", HandMadeWAV()),
        ("24 bits", HandMadeWAV(bits: 24, data: [0, 0, 0x40, 0, 0, 0xC0])),
        ("32 bits", HandMadeWAV(bits: 32, data: [0, 0, 0, 0x40, 0, 0, 0, 0xC0])),
        ("float", HandMadeWAV(code: 3, bits: 32, data: floats([0.5, -0.5]))),
        ("double", HandMadeWAV(code: 3, bits: 64, data: doubles([0.5, -0.5]))),
        ("extensible", HandMadeWAV(extensible: true)),
        (
            "an odd chunk before the data",
            HandMadeWAV(between: HandMadeWAV.chunk("LIST", [1, 2, 3]))
        ),
        ("a stream of unknown length", HandMadeWAV(statedDataSize: 0xFFFF_FFFF)),
        ("a recording that was cut off", HandMadeWAV(statedDataSize: 4000)),
        ("half a frame at the end", HandMadeWAV(data: [0, 0x40, 0, 0xC0, 7])),
    ]

    @Test(arguments: forms) func readsEveryForm(_ name: String, _ file: HandMadeWAV) throws {
        let clip = try AudioFile.read(data: Data(file.bytes), name: "x.wav")
        #expect(clip.channels == [[0.5, -0.5]], "\(name)")
        #expect(clip.sampleRate == 16_000)
    }

    @Test func readsManyChannelsAtAnyRate() throws {
        let data: [UInt8] = [0, 0x40, 0, 0xC0, 0, 0x20, 0, 0x40, 0, 0xC0, 0, 0x20]
        let clip = try AudioFile.read(
            data: Data(HandMadeWAV(channels: 3, rate: 11_025, data: data).bytes), name: "x.wav")
        #expect(clip.channels == [[0.5, 0.5], [-0.5, -0.5], [0.25, 0.25]])
        #expect(clip.sampleRate == 11_025)
    }

    @Test func readsRF64() throws {
        var bytes = Array("RF64".utf8) + HandMadeWAV.little(0xFFFF_FFFF, 4) + Array("WAVE".utf8)
        let sizes = HandMadeWAV.little(0, 8) + HandMadeWAV.little(4, 8) + HandMadeWAV.little(2, 8)
        bytes += HandMadeWAV.chunk("ds64", sizes + [0, 0, 0, 0]) + HandMadeWAV().format
        bytes += HandMadeWAV.chunk("data", [0, 0x40, 0, 0xC0], size: 0xFFFF_FFFF) + [9, 9, 9, 9]
        let clip = try AudioFile.read(data: Data(bytes), name: "x.wav")
        #expect(clip.channels == [[0.5, -0.5]])
    }

    @Test func writesWhatItReads() throws {
        let clip = try AudioClip(channels: [[0.5, -0.25, 2], [0, 0.125, -2]], sampleRate: 24_000)
        let float = try AudioFile.read(data: clip.wavData(format: .float32), name: "x.wav")
        #expect(float.channels == clip.channels)
        let integer = try AudioFile.read(data: clip.wavData(), name: "x.wav")
        // 16 bits clip at full scale.
        #expect(integer.channels == [[0.5, -0.25, 32_767 / 32_768], [0, 0.125, -1]])
        #expect(integer.sampleRate == 24_000)
    }

    static let broken: [(String, [UInt8], String)] = [
        ("no bytes", [], "x.wav is not a sound WAV file: it has 0 bytes"),
        (
            "only the header", Array(HandMadeWAV().bytes.prefix(12)),
            "x.wav is not a sound WAV file: there is no fmt chunk"
        ),
        (
            "half of the format", Array(HandMadeWAV().bytes.prefix(28)),
            "x.wav is not a sound WAV file: the fmt chunk has 8 bytes, 16 are needed"
        ),
        (
            "no data", Array(HandMadeWAV().bytes.prefix(36)),
            "x.wav is not a sound WAV file: there is no data chunk"
        ),
        (
            "no samples", HandMadeWAV(data: []).bytes,
            "x.wav is not a sound WAV file: it has no samples"
        ),
        (
            "no samples before further chunks",
            HandMadeWAV(data: []).bytes + HandMadeWAV.chunk("LIST", Array("INFO".utf8)),
            "x.wav is not a sound WAV file: it has no samples"
        ),
        (
            "less than a frame", HandMadeWAV(channels: 4, data: [1, 2]).bytes,
            "x.wav is not a sound WAV file: it has no samples"
        ),
        (
            "a format of 4 bytes", HandMadeWAV(formatSize: 4).bytes,
            "x.wav is not a sound WAV file: the fmt chunk has 4 bytes, 16 are needed"
        ),
        (
            "no channels", HandMadeWAV(channels: 0).bytes,
            "x.wav is not a sound WAV file: it has 0 channels; accepted: 1 to 256"
        ),
        (
            "a thousand channels", HandMadeWAV(channels: 1000).bytes,
            "x.wav is not a sound WAV file: it has 1000 channels; accepted: 1 to 256"
        ),
        (
            "a rate of 0 Hz", HandMadeWAV(rate: 0).bytes,
            "x.wav is not a sound WAV file: the sample rate is 0 Hz; accepted: 100 to 768000"
        ),
        (
            "a rate of 4 GHz", HandMadeWAV(rate: 4_000_000_000).bytes,
            "x.wav is not a sound WAV file: the sample rate is 4000000000 Hz; accepted: 100 to 768000"
        ),
        (
            "a frame of another size", HandMadeWAV(blockBytes: 7).bytes,
            "x.wav is not a sound WAV file: a frame of 1 channels of 16 bits cannot have 7 bytes"
        ),
        (
            "a float that is not a number",
            HandMadeWAV(code: 3, bits: 32, data: floats([0, .nan])).bytes,
            "x.wav is not a sound WAV file: sample 1 of channel 0 is not a finite number"
        ),
        (
            "a float without end", HandMadeWAV(code: 3, bits: 32, data: floats([.infinity])).bytes,
            "x.wav is not a sound WAV file: sample 0 of channel 0 is not a finite number"
        ),
        (
            "a chunk beyond the file",
            HandMadeWAV(between: HandMadeWAV.chunk("LIST", [1, 2], size: 9000)).bytes,
            "x.wav is not a sound WAV file: chunk 'LIST' states 9000 bytes, 14 follow"
        ),
        (
            "data before the format",
            Array("RIFF\0\0\0\0WAVE".utf8) + HandMadeWAV.chunk("data", [1, 2]),
            "x.wav is not a sound WAV file: the data chunk precedes the fmt chunk"
        ),
        (
            "a short ds64", Array("RF64\0\0\0\0WAVE".utf8) + HandMadeWAV.chunk("ds64", [1, 2]),
            "x.wav is not a sound WAV file: the ds64 chunk has 2 bytes, 24 are needed"
        ),
    ]

    @Test(arguments: broken) func refuses(_ what: String, _ bytes: [UInt8], _ error: String) {
        do {
            _ = try AudioFile.read(data: Data(bytes), name: "x.wav")
            Issue.record("\(what) was accepted")
        } catch let seen {
            #expect(seen.description == error, "\(what)")
        }
    }

    @Test(arguments: [(2, 4, "coding 2 with 4 bits"), (1, 12, "coding 1 with 12 bits")])
    func refusesCodingsThatAreNotItsOwn(_ code: Int, _ bits: Int, _ coding: String) {
        #expect {
            try WAVReader.read(HandMadeWAV(code: code, bits: bits).bytes, source: "x.wav")
        } throws: {
            "\($0)"
                == "x.wav: \(coding) is not read natively; accepted: PCM of 8, 16, 24 or 32 bits and "
                + "float of 32 or 64 bits; with ffmpeg installed, other codings too"
        }
    }

    @Test func refusesWhatIsNoFile() {
        #expect(throws: AudioError.file(path: "/nowhere.wav", reason: "there is no such file")) {
            try AudioFile.read(path: "/nowhere.wav")
        }
        #expect(throws: AudioError.file(path: "/tmp", reason: "it is a directory, not a recording"))
        {
            try AudioFile.read(path: "/tmp")
        }
    }
}

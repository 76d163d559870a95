// A SentencePiece vocabulary small enough to segment by hand, laid out byte by byte.

import Checkpoints
import Foundation
import LanguageModel

/// Makes vocabularies.
enum TinyVocabulary {
    typealias Entry = (text: String, score: Float, kind: SentencePieceModel.PieceKind)

    /// Control pieces, all bytes, these, then ten audio tokens.
    static func entries(_ normal: [(String, Float)]) -> [Entry] {
        let control = ["<s>", "</s>", "<|EOT|>", "<|BOT|>"].map { Entry($0, 0, .control) }
        let bytes = (0..<256).map { Entry(String(format: "<0x%02X>", $0), 0, .byte) }
        let audio = (0..<10).map { Entry("<audio_\($0)>", 0, .userDefined) }
        return [Entry("<unk>", 0, .unknown)] + control + bytes
            + normal.map { Entry($0.0, $0.1, .normal) } + audio
    }

    /// The tokenizer of these pieces.
    static func tokenizer(
        _ normal: [(String, Float)], byteFallback: Bool = true, addsBOS: Bool = true
    ) throws -> UnigramTokenizer {
        let path = FileManager.default.temporaryDirectory.path + "/stepaudio-\(UUID()).model"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(file(entries(normal), byteFallback: byteFallback))
            .write(to: URL(fileURLWithPath: path))
        var configuration = TokenizerConfiguration()
        configuration.addsBOS = addsBOS
        return try UnigramTokenizer(
            model: SentencePieceModel(path: path), configuration: configuration)
    }

    private static func varint(_ value: UInt64) -> [UInt8] {
        value < 128 ? [UInt8(value)] : [UInt8(value & 127) | 128] + varint(value >> 7)
    }

    private static func field(_ number: Int, _ value: Int) -> [UInt8] {
        varint(UInt64(number << 3)) + varint(UInt64(value))
    }

    private static func message(_ number: Int, _ bytes: [UInt8]) -> [UInt8] {
        varint(UInt64(number << 3 | 2)) + varint(UInt64(bytes.count)) + bytes
    }

    private static func file(_ entries: [Entry], byteFallback: Bool) -> [UInt8] {
        var result: [UInt8] = []
        for entry in entries {
            let score = withUnsafeBytes(of: entry.score.bitPattern.littleEndian, Array.init)
            result += message(
                1,
                message(1, Array(entry.text.utf8)) + [2 << 3 | 5] + score
                    + field(3, entry.kind.rawValue))
        }
        // model_type unigram, byte_fallback, unk_id, bos_id, eos_id.
        result += message(
            2,
            field(3, 1) + field(35, byteFallback ? 1 : 0) + field(40, 0) + field(41, 1)
                + field(42, 2))
        // name, add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces.
        return result
            + message(
                3, message(1, Array("identity".utf8)) + field(3, 1) + field(4, 0) + field(5, 1))
    }
}

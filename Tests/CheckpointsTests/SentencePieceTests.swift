// SentencePiece models laid out by hand: pieces, classes, flags and their defaults.

import Checkpoints
import Testing

@Suite struct SentencePieceTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func readsPiecesAndDefaults() throws {
        let model = try SentencePieceModel(
            path: try folder.write("a.model", Proto.vocabulary()))
        #expect(model.pieces.map(\.text) == ["<unk>", "<s>", "</s>", "a", "\u{2581}b"])
        #expect(model.pieces[4].score == -2)
        #expect(model.pieces[4].kind == .normal)
        #expect(model.pieces[0].kind == .unknown)
        #expect(model.unknownID == 0 && model.beginID == 1 && model.endID == 2)
        #expect(model.paddingID == -1)
        #expect(!model.byteFallback)
        #expect(model.addsDummyPrefix && model.removesExtraWhitespaces && model.escapesWhitespaces)
    }

    @Test func readsFlags() throws {
        let digits = Array("0123456789ABCDEF")
        let more = (0..<256).flatMap {
            Proto.piece(Array("<0x\(digits[$0 / 16])\(digits[$0 % 16])>".utf8), 0, 6)
        }
        let trainer =
            Proto.integer(3, 1) + Proto.integer(35, 1) + Proto.integer(43, 2)
            + Proto.integer(41, -1)
        let normalizer = Proto.integer(3, 0) + Proto.integer(4, 0) + Proto.integer(5, 0)
        let path = try folder.write(
            "a.model", Proto.vocabulary(trainer: trainer, normalizer: normalizer, more: more))
        let model = try SentencePieceModel(path: path)
        #expect(model.byteFallback)
        #expect(model.beginID == -1 && model.paddingID == 2)
        #expect(!model.addsDummyPrefix)
        #expect(!model.removesExtraWhitespaces)
        #expect(!model.escapesWhitespaces)
        #expect(SentencePieceModel.byte(ofPiece: model.pieces[5 + 0xAB].text) == 0xAB)
        #expect(SentencePieceModel.byte(ofPiece: "<0x+A>") == nil)
    }

    @Test func piecesThatUnicodeDeemsEqualAreDifferent() throws {
        let more = Proto.piece([0xC3, 0xA9], -3, 1) + Proto.piece([0x65, 0xCC, 0x81], -4, 1)
        let path = try folder.write("a.model", Proto.vocabulary(more: more))
        #expect(try SentencePieceModel(path: path).pieces.count == 7)
    }
}

// A SentencePiece tokenizer.model: the pieces with scores and classes, and the flags that decide how text
// is cut. Only Unigram models with the identity normaliser are accepted. Field numbers are those of
// sentencepiece_model.proto.

import TensorCore

/// The vocabulary and rules of a Unigram text tokenizer.
public struct SentencePieceModel: Sendable {
    /// What a piece is for.
    public enum PieceKind: Int, Sendable {
        case normal = 1
        case unknown = 2
        case control = 3
        case userDefined = 4
        case unused = 5
        case byte = 6
    }

    /// One entry of the vocabulary; its id is its index.
    public struct Piece: Sendable, Equatable {
        /// The text, with U+2581 for a space.
        public let text: String
        /// The log probability.
        public let score: Float
        /// What it is for.
        public let kind: PieceKind
    }

    /// The vocabulary in the order of ids.
    public let pieces: [Piece]
    /// The id of the unknown piece.
    public let unknownID: Int
    /// The id of the beginning-of-sequence piece, -1 for none.
    public let beginID: Int
    /// The id of the end-of-sequence piece, -1 for none.
    public let endID: Int
    /// The id of the padding piece, -1 for none.
    public let paddingID: Int
    /// Whether unknown characters are spelled as byte pieces.
    public let byteFallback: Bool
    /// Whether a space is put before text.
    public let addsDummyPrefix: Bool
    /// Whether runs of spaces shrink to one.
    public let removesExtraWhitespaces: Bool
    /// Whether spaces become U+2581.
    public let escapesWhitespaces: Bool

    static let maximumPieces = 4_000_000
    static let maximumPieceLength = 4096

    /// Reads a file; throws `CheckpointError`.
    public init(path: String) throws {
        var parts = SentencePieceParts(path: path)
        do {
            try parts.read(ProtobufReader(try TensorStorage(checkpoint: path)))
        } catch let error as ProtobufError {
            throw parts.malformed(error.description)
        }
        try parts.check()
        pieces = parts.pieces
        unknownID = parts.unknownID
        beginID = parts.beginID
        endID = parts.endID
        paddingID = parts.paddingID
        byteFallback = parts.byteFallback
        addsDummyPrefix = parts.addsDummyPrefix
        removesExtraWhitespaces = parts.removesExtraWhitespaces
        escapesWhitespaces = parts.escapesWhitespaces
    }

    /// The byte that a byte piece such as `<0x0A>` stands for, nil for other texts.
    public static func byte(ofPiece text: String) -> UInt8? {
        let units = Array(text.utf8)
        guard units.count == 6, text.hasPrefix("<0x"), text.hasSuffix(">") else { return nil }
        let digits = text.dropFirst(3).dropLast()
        return digits.allSatisfy(\.isHexDigit) ? UInt8(digits, radix: 16) : nil
    }
}

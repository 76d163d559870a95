// The messages of a tokenizer.model while they are read, with the format's defaults, and the checks that
// make a vocabulary usable.

import TensorCore

/// What a ModelProto holds.
struct SentencePieceParts {
    let path: String
    var pieces: [SentencePieceModel.Piece] = []
    var modelType = 1
    var unknownID = 0
    var beginID = 1
    var endID = 2
    var paddingID = -1
    var byteFallback = false
    var normalizer = ""
    var charsMapLength = 0
    var hasNormalizerRules = false
    var addsDummyPrefix = true
    var removesExtraWhitespaces = true
    var escapesWhitespaces = true

    init(path: String) { self.path = path }

    func malformed(_ reason: String) -> CheckpointError {
        .malformed(path: path, format: "SentencePiece", reason: reason)
    }

    mutating func read(_ message: ProtobufReader) throws {
        var reader = message
        while let field = try reader.next() {
            guard (1...3).contains(field.number) else { continue }
            let part = ProtobufReader(reader.storage, try reader.range(field))
            switch field.number {
            case 1: try readPiece(part)
            case 2: try readTrainer(part)
            default: try readNormalizer(part)
            }
        }
    }

    private mutating func readPiece(_ message: ProtobufReader) throws {
        guard pieces.count < SentencePieceModel.maximumPieces else {
            throw malformed("more than \(SentencePieceModel.maximumPieces) pieces")
        }
        var reader = message
        var text = ""
        var score: Float = 0
        var kind = SentencePieceModel.PieceKind.normal
        while let field = try reader.next() {
            switch field.number {
            case 1: text = try reader.string(field)
            case 2: score = try reader.float(field)
            case 3:
                let value = try reader.integer(field)
                guard let known = SentencePieceModel.PieceKind(rawValue: value) else {
                    throw malformed("piece \(pieces.count) is of class \(value), 1 to 6 are known")
                }
                kind = known
            default: break
            }
        }
        pieces.append(SentencePieceModel.Piece(text: text, score: score, kind: kind))
    }

    private mutating func readTrainer(_ message: ProtobufReader) throws {
        var reader = message
        while let field = try reader.next() {
            switch field.number {
            case 3: modelType = try reader.integer(field)
            case 24 where try reader.integer(field) != 0:
                throw CheckpointError.unsupported(
                    path: path, what: "treat_whitespace_as_suffix",
                    accepted: "spaces before words")
            case 35: byteFallback = try reader.integer(field) != 0
            case 40: unknownID = try reader.integer(field)
            case 41: beginID = try reader.integer(field)
            case 42: endID = try reader.integer(field)
            case 43: paddingID = try reader.integer(field)
            default: break
            }
        }
    }

    private mutating func readNormalizer(_ message: ProtobufReader) throws {
        var reader = message
        while let field = try reader.next() {
            switch field.number {
            case 1: normalizer = try reader.string(field)
            case 2: charsMapLength = try reader.range(field).count
            case 3: addsDummyPrefix = try reader.integer(field) != 0
            case 4: removesExtraWhitespaces = try reader.integer(field) != 0
            case 5: escapesWhitespaces = try reader.integer(field) != 0
            case 6: hasNormalizerRules = try !reader.range(field).isEmpty
            default: break
            }
        }
    }

    func check() throws {
        let types = [1: "Unigram", 2: "BPE", 3: "Word", 4: "Char"]
        guard modelType == 1 else {
            throw CheckpointError.unsupported(
                path: path, what: "the model type \(types[modelType] ?? "\(modelType)")",
                accepted: "Unigram")
        }
        guard charsMapLength == 0, !hasNormalizerRules else {
            throw CheckpointError.unsupported(
                path: path,
                what: "the normaliser \(normalizer) with a map of \(charsMapLength) bytes",
                accepted: "identity")
        }
        guard !pieces.isEmpty else { throw malformed("it holds no pieces") }
        try checkPieces()
        for (name, id, isNeeded) in [
            ("unk_id", unknownID, true), ("bos_id", beginID, false), ("eos_id", endID, false),
            ("pad_id", paddingID, false),
        ] {
            guard pieces.indices.contains(id) || id == -1 && !isNeeded else {
                throw malformed("its \(name) is \(id), it has \(pieces.count) pieces")
            }
        }
        guard pieces[unknownID].kind == .unknown else {
            throw malformed("its unk_id \(unknownID) is not the unknown piece")
        }
    }

    private func checkPieces() throws {
        // Compared as bytes: texts that Unicode deems equal are different pieces.
        var seen: [[UInt8]: Int] = [:]
        var bytes: Set<UInt8> = []
        var unknowns = 0
        for (id, piece) in pieces.enumerated() {
            let units = Array(piece.text.utf8)
            guard !units.isEmpty, units.count <= SentencePieceModel.maximumPieceLength else {
                throw malformed(
                    "piece \(id) has \(units.count) bytes, 1 to "
                        + "\(SentencePieceModel.maximumPieceLength) are accepted")
            }
            guard piece.score.isFinite else {
                throw malformed("piece \(id) has the score \(piece.score)")
            }
            if let first = seen.updateValue(id, forKey: units) {
                throw malformed("the pieces \(first) and \(id) are both \"\(piece.text)\"")
            }
            if piece.kind == .unknown { unknowns += 1 }
            if piece.kind == .byte {
                guard let byte = SentencePieceModel.byte(ofPiece: piece.text) else {
                    throw malformed("piece \(id) \"\(piece.text)\" is not a byte such as <0x0A>")
                }
                bytes.insert(byte)
            }
        }
        guard unknowns == 1 else { throw malformed("it has \(unknowns) unknown pieces, not one") }
        guard !byteFallback || bytes.count == 256 else {
            throw malformed("it spells bytes but has \(bytes.count) byte pieces, not 256")
        }
    }
}

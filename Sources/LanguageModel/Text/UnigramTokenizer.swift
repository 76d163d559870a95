// The Unigram text tokenizer with byte fallback, as the Hugging Face fast Llama tokenizer applies a
// SentencePiece model: added tokens are cut out first, spaces become U+2581, the first section gets
// a word-start mark, and the most likely segmentation of each section is found by Viterbi. Source:
// Kudo, "Subword Regularization" (2018).

import Checkpoints
import Foundation
import LanguageModelInterface

/// Turns text into ids of a Unigram vocabulary and back.
public struct UnigramTokenizer: TextTokenizer {
    private let pieces: [SentencePieceModel.Piece]
    private let ids: [String: Int]
    private let trie: PieceTrie
    private let plainTrie: PieceTrie
    private let addedTrie: PieceTrie
    private let byteIDs: [Int]  // per byte, empty without byte fallback
    private let bytesOfIDs: [Int: UInt8]
    private let unknownScore: Double
    private let unknownID: Int
    private let addsDummyPrefix: Bool
    /// The begin-of-sequence id.
    public let bosID: Int
    /// Whether each fragment that is encoded on its own starts with the begin-of-sequence id.
    public let addsBOS: Bool
    /// The id of `<audio_0>`.
    public let audioBaseID: Int?

    private static let mark = "\u{2581}"

    /// Reads `tokenizer.model` and, when it is there, `tokenizer_config.json` of a directory.
    public init(directory: String) throws {
        let model = try SentencePieceModel(path: directory + "/tokenizer.model")
        let file = directory + "/tokenizer_config.json"
        let exists = FileManager.default.fileExists(atPath: file)
        try self.init(
            model: model,
            configuration: exists ? TokenizerConfiguration(path: file) : TokenizerConfiguration())
    }

    /// Prepares a vocabulary.
    public init(model: SentencePieceModel, configuration: TokenizerConfiguration) throws {
        let pieces = model.pieces
        self.pieces = pieces
        var ids: [String: Int] = [:]
        for (id, piece) in pieces.enumerated() where ids[piece.text] == nil {
            ids[piece.text] = id
        }
        self.ids = ids
        func makeTrie(_ kinds: Set<SentencePieceModel.PieceKind>) -> PieceTrie {
            PieceTrie(
                pieces.enumerated().filter { kinds.contains($0.element.kind) }
                    .map { (Array($0.element.text.utf8), $0.offset) })
        }
        trie = makeTrie([.normal, .unused, .byte])
        plainTrie = makeTrie([.normal])
        addedTrie = makeTrie([.unknown, .control, .userDefined])
        var byteIDs = [Int](repeating: -1, count: 256)
        var bytesOfIDs: [Int: UInt8] = [:]
        for (id, piece) in pieces.enumerated() where piece.kind == .byte {
            if let byte = SentencePieceModel.byte(ofPiece: piece.text) {
                byteIDs[Int(byte)] = id
                bytesOfIDs[id] = byte
            }
        }
        self.byteIDs = model.byteFallback && !byteIDs.contains(-1) ? byteIDs : []
        self.bytesOfIDs = bytesOfIDs
        let scores = pieces.lazy.filter { $0.kind == .normal }.map(\.score)
        unknownScore = Double(scores.min() ?? 0) - 10
        unknownID = model.unknownID
        addsDummyPrefix = model.addsDummyPrefix
        bosID = ids[configuration.beginToken] ?? model.beginID
        addsBOS = configuration.addsBOS && bosID >= 0
        audioBaseID = ids["<audio_0>"]
    }

    /// Number of pieces.
    public var vocabularySize: Int { pieces.count }

    /// The id of a piece by its text.
    public func id(ofPiece piece: String) -> Int? { ids[piece] }

    /// Ids of a text in which added tokens are recognised; no begin-of-sequence id is added.
    public func encode(_ text: String, addDummyPrefix: Bool) -> [Int] {
        var text = text
        return text.withUTF8 { bytes in
            var result: [Int] = []
            var sectionStart = 0
            var position = 0
            func close(_ end: Int) {
                guard end > sectionStart else { return }
                let section = UnsafeBufferPointer(rebasing: bytes[sectionStart..<end])
                result += encodeSection(
                    section, prefix: addDummyPrefix && sectionStart == 0, with: trie)
            }
            while position < bytes.count {
                var match: (id: Int, end: Int)?
                addedTrie.forEachPrefix(of: bytes, from: position) { match = ($0, $1) }
                if let match {
                    close(position)
                    result.append(match.id)
                    position = match.end
                    sectionStart = position
                } else {
                    position += 1
                }
            }
            close(bytes.count)
            return result
        }
    }

    /// Ids of a user's text: control, added and byte pieces that stand in it are spelled out.
    public func encodePlain(_ text: String, addDummyPrefix: Bool) -> [Int] {
        var text = text
        return text.withUTF8 { bytes in
            bytes.isEmpty ? [] : encodeSection(bytes, prefix: addDummyPrefix, with: plainTrie)
        }
    }

    private func encodeSection(
        _ section: UnsafeBufferPointer<UInt8>, prefix: Bool, with trie: PieceTrie
    ) -> [Int] {
        let mark = Array(Self.mark.utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(section.count + section.count / 2)
        for byte in section {
            if byte == UInt8(ascii: " ") {
                bytes += mark
            } else {
                bytes.append(byte)
            }
        }
        if prefix, addsDummyPrefix, !bytes.starts(with: mark) {
            bytes.insert(contentsOf: mark, at: 0)
        }
        return bytes.withUnsafeBufferPointer { viterbi($0, with: trie) }
    }

    private func viterbi(_ bytes: UnsafeBufferPointer<UInt8>, with trie: PieceTrie) -> [Int] {
        struct Arrival {
            var score = 0.0
            var start: Int32 = -1
            var id: Int32 = -1
        }
        let count = bytes.count
        var best = [Arrival](repeating: Arrival(), count: count + 1)
        var position = 0
        while position < count {
            let length = min(Self.scalarLength(bytes[position]), count - position)
            let reached = best[position].score
            var hasSingle = false
            trie.forEachPrefix(of: bytes, from: position) { id, end in
                let score = reached + Double(pieces[id].score)
                if best[end].start < 0 || score > best[end].score {
                    best[end] = Arrival(score: score, start: Int32(position), id: Int32(id))
                }
                hasSingle = hasSingle || end == position + length
            }
            if !hasSingle {
                let end = position + length
                let score = reached + unknownScore
                if best[end].start < 0 || score > best[end].score {
                    best[end] = Arrival(score: score, start: Int32(position), id: -1)
                }
            }
            position += length
        }
        var reversed: [Int] = []
        var end = count
        while end > 0 {
            let arrival = best[end]
            let start = max(0, Int(arrival.start))
            if arrival.id >= 0 {
                reversed.append(Int(arrival.id))
            } else if byteIDs.isEmpty {
                // Neighbouring unknown characters are one unknown token.
                if reversed.last != unknownID { reversed.append(unknownID) }
            } else {
                for byte in bytes[start..<end].reversed() {
                    reversed.append(byteIDs[Int(byte)])
                }
            }
            end = start
        }
        return reversed.reversed()
    }

    private static func scalarLength(_ lead: UInt8) -> Int {
        switch lead {
        case 0xC0..<0xE0: 2
        case 0xE0..<0xF0: 3
        case 0xF0...0xFF: 4
        default: 1
        }
    }

    /// Text of ids; ids outside the vocabulary are skipped.
    public func decode(_ ids: [Int]) -> String {
        var decoder = StreamingTextDecoder(self)
        var text = ""
        for id in ids {
            text += decoder.append(id)
        }
        return text + decoder.finish()
    }

    fileprivate enum Unit {
        case byte(UInt8)
        case text(String)
    }

    fileprivate func unit(_ id: Int) -> Unit? {
        guard pieces.indices.contains(id) else { return nil }
        if let byte = bytesOfIDs[id] { return .byte(byte) }
        return .text(pieces[id].text.replacingOccurrences(of: Self.mark, with: " "))
    }
}

/// Decodes ids one by one, holding back runs of bytes until they end.
///
/// A run that is not valid UTF-8 as a whole becomes one U+FFFD a byte; one leading space of the
/// whole text is dropped.
public struct StreamingTextDecoder: Sendable {
    private let tokenizer: UnigramTokenizer
    private var bytes: [UInt8] = []
    private var isAtStart = true

    /// Starts a text.
    public init(_ tokenizer: UnigramTokenizer) {
        self.tokenizer = tokenizer
    }

    /// The text that an id completes, often none while a run of bytes goes on.
    public mutating func append(_ id: Int) -> String {
        switch tokenizer.unit(id) {
        case .byte(let byte):
            bytes.append(byte)
            return ""
        case .text(let text): return emit(flushed() + text)
        case nil: return ""
        }
    }

    /// The text that is still held back.
    public mutating func finish() -> String {
        emit(flushed())
    }

    private mutating func flushed() -> String {
        defer { bytes.removeAll() }
        return String(validating: bytes, as: UTF8.self)
            ?? String(repeating: "\u{FFFD}", count: bytes.count)
    }

    private mutating func emit(_ text: String) -> String {
        guard isAtStart, !text.isEmpty else { return text }
        isAtStart = false
        // A combining mark behind the space makes one character of the two.
        return text.unicodeScalars.first == " " ? String(text.unicodeScalars.dropFirst()) : text
    }
}

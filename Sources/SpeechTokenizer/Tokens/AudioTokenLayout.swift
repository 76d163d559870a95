// How the two codebooks share one row of audio tokens: groups of two linguistic and three semantic
// codes (120 ms), semantic indices counted on from the end of the linguistic codebook.

/// The layout of a mixed row of audio tokens.
///
/// A token's index K (as in `<audio_K>`) is the code itself for linguistic codes and
/// `linguisticCount` plus the code for semantic ones.
public struct AudioTokenLayout: Sendable, Equatable {
    /// Linguistic codes at the start of each group.
    public static let linguisticPerGroup = 2
    /// Semantic codes at the end of each group.
    public static let semanticPerGroup = 3
    /// Tokens of one group, which lasts 120 ms.
    public static let groupSize = linguisticPerGroup + semanticPerGroup

    /// Entries of the linguistic codebook.
    public let linguisticCount: Int
    /// Entries of the semantic codebook.
    public let semanticCount: Int

    /// Describes two codebooks.
    public init(linguisticCount: Int, semanticCount: Int) {
        self.linguisticCount = linguisticCount
        self.semanticCount = semanticCount
    }

    /// The published codebooks: 1024 linguistic and 4096 semantic codes.
    public static let published = AudioTokenLayout(linguisticCount: 1024, semanticCount: 4096)

    /// Number of different audio tokens.
    public var count: Int { linguisticCount + semanticCount }

    /// The indices that may stand at a position of the row.
    public func expectedIndices(at position: Int) -> Range<Int> {
        position % Self.groupSize < Self.linguisticPerGroup
            ? 0..<linguisticCount : linguisticCount..<count
    }

    /// Mixes both streams group by group; codes beyond the last whole group are left out.
    ///
    /// Throws when a code is not in its codebook.
    public func interleave(
        linguistic: [Int], semantic: [Int]
    ) throws(SpeechTokenizerError) -> [Int] {
        try Self.check(linguistic, below: linguisticCount, codebook: "linguistic")
        try Self.check(semantic, below: semanticCount, codebook: "semantic")
        let groups = min(
            linguistic.count / Self.linguisticPerGroup, semantic.count / Self.semanticPerGroup)
        var indices: [Int] = []
        indices.reserveCapacity(groups * Self.groupSize)
        for group in 0..<groups {
            let first = group * Self.linguisticPerGroup
            indices += linguistic[first..<first + Self.linguisticPerGroup]
            let second = group * Self.semanticPerGroup
            for code in semantic[second..<second + Self.semanticPerGroup] {
                indices.append(linguisticCount + code)
            }
        }
        return indices
    }

    /// Takes a mixed row apart again.
    ///
    /// Throws when an index is outside the codebooks, stands at a place of the other codebook, or
    /// the last group is not whole.
    public func deinterleave(
        _ indices: [Int]
    ) throws(SpeechTokenizerError) -> (linguistic: [Int], semantic: [Int]) {
        var linguistic: [Int] = []
        var semantic: [Int] = []
        for (position, index) in indices.enumerated() {
            guard (0..<count).contains(index) else {
                throw .indexOutOfRange(token: position, index: index, count: count)
            }
            let expected = expectedIndices(at: position)
            guard expected.contains(index) else {
                throw .brokenGroup(token: position, index: index, expected: expected)
            }
            if expected.lowerBound == 0 {
                linguistic.append(index)
            } else {
                semantic.append(index - linguisticCount)
            }
        }
        guard indices.count % Self.groupSize == 0 else {
            throw .cutOffGroup(tokens: indices.count)
        }
        return (linguistic, semantic)
    }

    /// Language-model ids of a row of indices; `audioBaseID` is the id of `<audio_0>`.
    public func ids(of indices: [Int], audioBaseID: Int) -> [Int] {
        indices.map { $0 + audioBaseID }
    }

    /// Indices of language-model ids; throws when an id is not an audio token's.
    public func indices(
        ofIDs ids: [Int], audioBaseID: Int
    ) throws(SpeechTokenizerError) -> [Int] {
        let accepted = audioBaseID..<audioBaseID + count
        var indices: [Int] = []
        indices.reserveCapacity(ids.count)
        for (position, id) in ids.enumerated() {
            guard accepted.contains(id) else {
                throw .idOutOfRange(token: position, id: id, accepted: accepted)
            }
            indices.append(id - audioBaseID)
        }
        return indices
    }

    private static func check(
        _ codes: [Int], below count: Int, codebook: String
    ) throws(SpeechTokenizerError) {
        if let position = codes.firstIndex(where: { !(0..<count).contains($0) }) {
            throw .codeOutOfRange(
                codebook: codebook, position: position, code: codes[position], count: count)
        }
    }
}

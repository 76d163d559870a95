// The tokens of one recording: both code streams and the mixed row made of them.

/// What the tokenizer gives for a recording.
public struct AudioTokens: Sendable, Equatable {
    /// Linguistic codes, one each 60 ms.
    public let linguistic: [Int]
    /// Semantic codes, one each 40 ms.
    public let semantic: [Int]
    /// Indices K of `<audio_K>`: whole groups of two linguistic and three semantic tokens.
    public let mixed: [Int]
    /// The codebooks the codes belong to.
    public let layout: AudioTokenLayout

    /// Mixes two streams; throws when a code is not in its codebook.
    public init(
        linguistic: [Int], semantic: [Int], layout: AudioTokenLayout
    ) throws(SpeechTokenizerError) {
        self.linguistic = linguistic
        self.semantic = semantic
        self.layout = layout
        mixed = try layout.interleave(linguistic: linguistic, semantic: semantic)
    }

    /// The mixed row as `<audio_K>` strings.
    public var text: String { layout.text(of: mixed) }

    /// The mixed row as language-model ids; `audioBaseID` is the id of `<audio_0>`.
    public func ids(audioBaseID: Int) -> [Int] {
        layout.ids(of: mixed, audioBaseID: audioBaseID)
    }
}

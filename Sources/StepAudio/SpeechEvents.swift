// What streamed speech and streamed answers report.

/// A piece of speech, given out while the rest is still being made.
///
/// Chunks laid end to end are the whole speech, the pauses between sentences included.
public struct SpeechChunk: Sendable, Equatable {
    /// Mono samples in -1...1.
    public var samples: [Float]
    /// Samples a second; the same for all chunks of a stream.
    public var sampleRate: Int
    /// Which sentence of the text it belongs to, counted from 0.
    public var sentence: Int
    /// The sentence's text; the same in all of its chunks.
    public var text: String
    /// Whether this is the sentence's last chunk.
    public var endsSentence: Bool

    /// Makes a chunk.
    public init(
        samples: [Float], sampleRate: Int, sentence: Int, text: String, endsSentence: Bool
    ) {
        self.samples = samples
        self.sampleRate = sampleRate
        self.sentence = sentence
        self.text = text
        self.endsSentence = endsSentence
    }

    /// Length in seconds.
    public var seconds: Double { Double(samples.count) / Double(max(1, sampleRate)) }
}

/// What streamed speech reports.
public enum SpeechEvent: Sendable, Equatable {
    /// The next piece.
    case chunk(SpeechChunk)
    /// The whole speech: the chunks' samples, and where the time went. Nothing follows.
    case finished(SpokenText)
}

/// What a streamed answer reports.
public enum AnswerEvent: Sendable, Equatable {
    /// The next piece of the text.
    case text(String)
    /// The next piece of its speech.
    case speech(SpeechChunk)
    /// The whole answer, its speech included; nothing follows.
    case finished(Answer)
}

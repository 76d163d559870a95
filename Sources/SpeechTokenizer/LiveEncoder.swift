// The audio tokenizer on a recording that is still being made. What depends on the whole recording is its
// level: samples are divided by the largest magnitude, which is known at the end only. So the stream works
// with the largest one so far and starts again when a louder sample comes; what it has is right unless
// that happens. The semantic encoder looks both ways, so its pieces of 30 s wait until they are full.

import AudioSignal

/// Takes samples as they come; its tokens are those of `AudioTokenizer.tokens` on the whole recording.
public struct LiveEncoder: Sendable {
    private let tokenizer: AudioTokenizer
    private var resampler: Resampler.Stream
    /// Everything so far at 16 kHz, before its level is changed.
    private var samples: [Float] = []
    private var received = 0
    private var peak: Float = 0
    /// The peak that the codes below were made with.
    private var level: Float = 0
    private var stream: LinguisticEncoder.Stream
    private var linguistic: [Int] = []
    /// Samples that the linguistic encoder has.
    private var heard = 0
    private var semantic: [Int] = []
    private var pieces = 0

    /// Samples that were there when it began last.
    private var began = 0

    /// Starts a recording; throws for a rate that is not positive.
    public init(
        _ tokenizer: AudioTokenizer, sampleRate: Int
    ) throws(SpeechTokenizerError) {
        guard sampleRate > 0 else { throw .invalidSampleRate(sampleRate) }
        self.tokenizer = tokenizer
        resampler = Resampler.Stream(Resampler(from: sampleRate, to: AudioTokenizer.sampleRate))
        stream = tokenizer.linguistic.makeStream()
    }

    /// Samples of the recording, at 16 kHz, whose linguistic codes are known.
    public var encodedSamples: Int { level == peak ? heard : 0 }

    /// Takes the next samples; throws when one is not finite.
    public mutating func append(_ more: [Float]) throws(SpeechTokenizerError) {
        if let index = more.firstIndex(where: { !$0.isFinite }) {
            throw .sampleNotFinite(index: received + index, value: "\(more[index])")
        }
        received += more.count
        try take(resampler.append(more))
        // Beginning again costs what was done so far: not at every louder sample, but at most when
        // the recording has grown by a quarter since.
        if level != peak, samples.count >= began + began / 4 { restart() }
        try encode(isFinal: false)
    }

    /// The tokens of the whole recording; throws when it has no samples.
    public mutating func finish() throws(SpeechTokenizerError) -> AudioTokens {
        guard received > 0 else { throw .emptyAudio }
        try take(resampler.finish())
        if level != peak { restart() }
        try encode(isFinal: true)
        return try AudioTokens(
            linguistic: linguistic, semantic: semantic, layout: tokenizer.layout)
    }

    private mutating func take(_ fresh: [Float]) throws(SpeechTokenizerError) {
        samples += fresh
        peak = fresh.reduce(max(peak, 0.01)) { max($0, abs($1)) }
    }

    private mutating func restart() {
        level = peak
        began = samples.count
        stream = tokenizer.linguistic.makeStream()
        (linguistic, heard) = ([], 0)
        (semantic, pieces) = ([], 0)
    }

    private mutating func encode(isFinal: Bool) throws(SpeechTokenizerError) {
        guard level == peak else { return }
        let divisor = level
        func levelled(_ range: Range<Int>) -> [Float] {
            samples[range].map { ($0 / divisor) * 0.999 }
        }
        // One sample waits for the end: the encoder's last portion must not be empty.
        let end = isFinal ? samples.count : max(heard, samples.count - 1)
        linguistic += tokenizer.linguistic.codes(
            levelled(heard..<end), isFinal: isFinal, stream: &stream)
        heard = end
        let size = SemanticEncoder.pieceSamples
        while (pieces + 1) * size <= samples.count || (isFinal && pieces * size < samples.count) {
            let end = min((pieces + 1) * size, samples.count)
            semantic += try tokenizer.semantic.codes(levelled(pieces * size..<end))
            pieces += 1
        }
    }
}

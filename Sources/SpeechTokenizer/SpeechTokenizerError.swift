// What can go wrong when recordings are turned into audio tokens or tokens are read back: the one
// error type of this module. Faults of files are the `Checkpoints` module's errors.

/// Audio, tokens or a network that cannot be used, and why.
public enum SpeechTokenizerError: Error, Equatable, CustomStringConvertible {
    /// The recording has no samples.
    case emptyAudio
    /// A sample is infinite or not a number.
    case sampleNotFinite(index: Int, value: String)
    /// The sample rate is not a positive number.
    case invalidSampleRate(Int)
    /// The text at a character is not an audio token.
    case malformedToken(character: Int, text: String)
    /// A token's index lies outside both codebooks; tokens are counted from 0.
    case indexOutOfRange(token: Int, index: Int, count: Int)
    /// An id is not one of the audio tokens' ids; tokens are counted from 0.
    case idOutOfRange(token: Int, id: Int, accepted: Range<Int>)
    /// A token belongs to the other codebook than its place in the group of five asks for.
    case brokenGroup(token: Int, index: Int, expected: Range<Int>)
    /// The last group has fewer than its five tokens.
    case cutOffGroup(tokens: Int)
    /// A code is not in its codebook.
    case codeOutOfRange(codebook: String, position: Int, code: Int, count: Int)
    /// A setting of the linguistic encoder contradicts another or cannot be used.
    case unusableSetting(file: String, key: String, value: String, accepted: String)
    /// The position table is shorter than a piece of audio needs.
    case positionsExhausted(frames: Int, available: Int)
    /// The graph lacks something that only the graph can tell.
    case unreadableGraph(file: String, missing: String)

    /// What was wrong, with the value seen and what is accepted.
    public var description: String {
        switch self {
        case .emptyAudio:
            "the audio is empty: at least one sample is needed"
        case .sampleNotFinite(let index, let value):
            "sample \(index) is \(value); samples must be finite numbers"
        case .invalidSampleRate(let rate):
            "the sample rate is \(rate) Hz; it must be positive"
        case .malformedToken(let character, let text):
            "character \(character) is not the start of an audio token: \"\(text)\"; "
                + "tokens look like <audio_17>"
        case .indexOutOfRange(let token, let index, let count):
            "token \(token) is <audio_\(index)>; indices 0 to \(count - 1) are accepted"
        case .idOutOfRange(let token, let id, let accepted):
            "token \(token) has the id \(id); audio ids are "
                + "\(accepted.lowerBound) to \(accepted.upperBound - 1)"
        case .brokenGroup(let token, let index, let expected):
            "token \(token) is <audio_\(index)>, but its place in the group of five needs an index "
                + "from \(expected.lowerBound) to \(expected.upperBound - 1)"
        case .cutOffGroup(let tokens):
            "\(tokens) audio tokens are not whole groups of five; "
                + "the last group has \(tokens % 5)"
        case .codeOutOfRange(let codebook, let position, let code, let count):
            "\(codebook) code \(position) is \(code); 0 to \(count - 1) are accepted"
        case .unusableSetting(let file, let key, let value, let accepted):
            "\(file): \(key) is \(value); accepted: \(accepted)"
        case .positionsExhausted(let frames, let available):
            "a piece of audio gives \(frames) frames, but the position table has \(available) rows"
        case .unreadableGraph(let file, let missing):
            "\(file): \(missing) cannot be read from the graph"
        }
    }
}

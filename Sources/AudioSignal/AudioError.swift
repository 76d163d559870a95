// What can be wrong with sound and its files.

/// Why sound could not be read, written or changed.
public enum AudioError: Error, Equatable, CustomStringConvertible {
    /// There are no samples.
    case empty
    /// A sample rate outside the accepted range.
    case badRate(Int)
    /// Channels of different lengths.
    case unequalChannels([Int])
    /// NaN or infinity.
    case notFinite(channel: Int, sample: Int)
    /// The file cannot be opened, read or written.
    case file(path: String, reason: String)
    /// The file is not the WAV file it should be.
    case malformed(source: String, reason: String)
    /// A coding that is not read natively, and nothing else could read it.
    case unsupported(source: String, coding: String)
    /// The file needs `ffmpeg`, which is not installed.
    case ffmpegMissing(source: String)
    /// `ffmpeg` gave up.
    case ffmpegFailed(source: String, message: String)
    /// A tempo factor outside the accepted range.
    case badTempo(Double)
    /// A sample rate too low to change the tempo.
    case tempoRate(Int)
    /// A volume factor outside the accepted range.
    case badVolume(Double)

    /// What was wrong, with the value seen and what is accepted.
    public var description: String {
        switch self {
        case .empty: "there are no samples"
        case .badRate(let rate):
            "the sample rate is \(rate) Hz; accepted: "
                + "\(AudioClip.acceptedRates.lowerBound) to \(AudioClip.acceptedRates.upperBound)"
        case .unequalChannels(let counts): "the channels have \(counts) samples, not one length"
        case .notFinite(let channel, let sample):
            "sample \(sample) of channel \(channel) is not a finite number"
        case .file(let path, let reason): "\(path): \(reason)"
        case .malformed(let source, let reason): "\(source) is not a sound WAV file: \(reason)"
        case .unsupported(let source, let coding):
            "\(source): \(coding) is not read natively; accepted: PCM of 8, 16, 24 or 32 bits and "
                + "float of 32 or 64 bits; with ffmpeg installed, other codings too"
        case .ffmpegMissing(let source):
            "\(source) is not a WAV file; install ffmpeg to read other formats"
        case .ffmpegFailed(let source, let message): "ffmpeg cannot read \(source): \(message)"
        case .badTempo(let factor): "the tempo factor is \(factor); accepted: 0.1 to 100"
        case .tempoRate(let rate):
            "the tempo of \(rate) Hz cannot be changed; accepted: \(Tempo.lowestRate) Hz and above"
        case .badVolume(let factor): "the volume factor is \(factor); accepted: 0 to 100"
        }
    }
}

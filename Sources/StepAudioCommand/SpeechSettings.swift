// Flags about the voice of the answer, shared by `chat` and `say`.

import ArgumentParser
import StepAudio

/// Voice, pace and loudness.
struct SpeechSettings: ParsableArguments {
    @Option(help: "Speaker id (default: the bundle's first; see `stepaudio voices`).")
    var speaker: String?

    @Option(help: "Emotion of the speech, e.g. 高兴1.")
    var emotion: String?

    @Option(help: "Language or dialect of the speech, e.g. 中文 or 英文.")
    var language: String?

    @Option(help: "Pace tag for the model, e.g. 快速1 or 慢速1.")
    var pace: String?

    @Option(parsing: .unconditional, help: "Tempo ratio after synthesis, 0.1 to 100 (default 1).")
    var speed: Double?

    @Option(parsing: .unconditional, help: "Volume ratio after synthesis, 0 to 100 (default 1).")
    var volume: Double?

    @Option(
        parsing: .unconditional,
        help: "Softmax temperature of the speech model (default 0.7; 0 is greedy).")
    var speechTemperature: Float?

    @Option(
        name: [.short, .customLong("output")],
        help: "WAV file to write the speech to ('-' is standard output).")
    var output: String?

    @Option(help: "Format on standard output: wav or pcm, 16 bits (default wav).")
    var format: String?

    @Option(
        help: """
            What plays streamed speech: a player's name, a command line that reads 16-bit mono \
            samples ({rate} is their rate), or none (default: the first that is installed of \
            \(SystemPlayer.names)).
            """)
    var player: String?

    /// The options with the environment's twins filled in.
    func resolved(seed: UInt64) throws -> SpeechOptions {
        var options = SpeechOptions()
        options.speaker = speaker ?? Environment.value("SPEAKER")
        options.style = SpeechStyle(
            emotion: emotion ?? Environment.value("EMOTION"),
            language: language ?? Environment.value("LANGUAGE"),
            pace: pace ?? Environment.value("PACE"))
        options.speedRatio = try speed ?? Environment.value("SPEED", as: Double.self) ?? 1
        options.volumeRatio = try volume ?? Environment.value("VOLUME", as: Double.self) ?? 1
        options.sampling.temperature =
            try speechTemperature ?? Environment.value("SPEECH_TEMPERATURE", as: Float.self)
            ?? options.sampling.temperature
        options.sampling.seed = seed
        return options
    }

    /// Runs a check of flag values; what it refuses is a wrong command line.
    static func check(_ validate: () throws -> Void) throws {
        do {
            try validate()
        } catch {
            throw ValidationError("\(error)")
        }
    }

    /// Where the speech goes; `streams` says that it goes there while it is made.
    func target(streams: Bool, json: Bool) throws -> SoundTarget? {
        let name = format ?? Environment.value("FORMAT") ?? SoundFormat.wav.rawValue
        guard let format = SoundFormat(rawValue: name) else {
            throw ValidationError(
                "format is '\(name)'; accepted: "
                    + SoundFormat.allCases.map(\.rawValue).joined(separator: ", "))
        }
        guard let path = output ?? Environment.value("OUTPUT") else {
            guard streams else { return nil }
            return SystemPlayer.find(player ?? Environment.value("PLAYER")).map { .player($0) }
        }
        if path == "-", json {
            throw ValidationError("--json and -o - both want standard output; give one of them")
        }
        if path != "-", format != .wav {
            throw ValidationError("format \(format.rawValue) is for -o -; files are WAV")
        }
        return .path(path, format)
    }
}

/// Where speech goes.
enum SoundTarget {
    case path(String, SoundFormat)
    case player(SystemPlayer)

    /// Whether it goes to standard output.
    var isStandardOutput: Bool { if case .path("-", _) = self { true } else { false } }

    /// The path for reports.
    var path: String? { if case .path(let path, _) = self { path } else { nil } }

    func open(sampleRate: Int) throws -> SoundSink {
        switch self {
        case .path(let path, let format):
            try SoundSink(path: path, format: format, sampleRate: sampleRate)
        case .player(let player): try SoundSink(player: player, sampleRate: sampleRate)
        }
    }
}

/// What `chat` and `say` print with --json.
struct SpeechReport: Encodable {
    var text: String?
    var output: String?
    var sampleRate: Int?
    var seconds: Double?
    var tokens: Int?
    var textTokens: Int?
    var finishReason: String?
    var repairs: [String]?
    var realTimeFactor: Double?
    var firstAudioSeconds: Double?
    var timings: Timings
    var memory: MemoryReport

    enum CodingKeys: String, CodingKey {
        case text, output, seconds, tokens, timings, memory, repairs
        case sampleRate = "sample_rate"
        case textTokens = "text_tokens"
        case finishReason = "finish_reason"
        case realTimeFactor = "real_time_factor"
        case firstAudioSeconds = "first_audio_seconds"
    }
}

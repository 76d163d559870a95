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

    @Option(name: [.short, .customLong("output")], help: "WAV file to write the speech to.")
    var output: String?

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

    var resolvedOutput: String? { output ?? Environment.value("OUTPUT") }
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
    var timings: Timings
    var memory: MemoryReport

    enum CodingKeys: String, CodingKey {
        case text, output, seconds, tokens, timings, memory, repairs
        case sampleRate = "sample_rate"
        case textTokens = "text_tokens"
        case finishReason = "finish_reason"
        case realTimeFactor = "real_time_factor"
    }
}

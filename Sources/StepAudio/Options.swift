// What a caller may ask for: sampling, voice, style, pace and loudness, with the published defaults.

import AudioSignal
import LanguageModelInterface
import SpeechSynthesis

/// A voice to clone: a recording and what it says.
public struct VoicePrompt: Sendable, Equatable {
    /// The recording; tokens cannot stand in for it, because its sound is needed.
    public var audio: Message.Sound
    /// What the recording says.
    public var text: String

    /// Names a recording and its transcript.
    public init(audio: Message.Sound, text: String) {
        self.audio = audio
        self.text = text
    }
}

/// How text is spoken.
public struct SpeechOptions: Sendable, Equatable {
    /// Speaker id; nil is the bundle's first.
    public var speaker: String?
    /// A voice to clone, instead of a speaker.
    public var clone: VoicePrompt?
    /// Emotion, language and pace.
    public var style = SpeechStyle()
    /// `RAP` or `哼唱`; needs the Music checkpoint.
    public var vocalStyle: String?
    /// Tempo ratio applied after synthesis, 0.1 to 100; 1 leaves the samples alone.
    public var speedRatio = 1.0
    /// Volume ratio applied after synthesis, 0 to 100, clipping at full scale; 1 leaves them alone.
    public var volumeRatio = 1.0
    /// How audio tokens are drawn.
    public var sampling = SamplingOptions(temperature: 0.7, repetitionRule: true)
    /// Largest prompt plus speech of one sentence, in tokens.
    public var maximumTokens = 8192
    /// Solver steps of the flow decoder.
    public var flowSteps = 10
    /// Strength of the flow decoder's classifier-free guidance; nil takes the checkpoint's.
    public var guidance: Float?
    /// Whose earlier speech may be given again when everything is the same; nil gives none.
    ///
    /// Calls of one scope share. A server gives each of its keys a scope of its own.
    public var cacheScope: String?

    /// The published defaults.
    public init() {}

    var flow: FlowDecoder.Options {
        var options = FlowDecoder.Options()
        options.steps = flowSteps
        options.guidance = guidance
        return options
    }

    var synthesis: SynthesisOptions {
        var options = SynthesisOptions()
        options.sampling = sampling
        options.maximumTokens = maximumTokens
        options.flow = flow
        return options
    }

    /// Refuses ratios that the effects cannot apply, and names that the models do not know.
    public func validate() throws(StepAudioError) {
        try style.validate(as: StepAudioError.self)
        guard speedRatio.isFinite, (0.1...100).contains(speedRatio) else {
            throw .badOption(name: "speed", value: "\(speedRatio)", accepted: "0.1 to 100")
        }
        guard volumeRatio.isFinite, (0...100).contains(volumeRatio) else {
            throw .badOption(name: "volume", value: "\(volumeRatio)", accepted: "0 to 100")
        }
        guard sampling.temperature.isFinite, sampling.temperature <= 10 else {
            throw .badOption(
                name: "speech temperature", value: "\(sampling.temperature)",
                accepted: "0 (greedy) to 10")
        }
        guard (1...1000).contains(flowSteps) else {
            throw .badOption(name: "flow steps", value: "\(flowSteps)", accepted: "1 to 1000")
        }
        if let guidance, !guidance.isFinite || !(0...100).contains(guidance) {
            throw .badOption(name: "guidance", value: "\(guidance)", accepted: "0 to 100")
        }
        if let vocalStyle, !BracketTag.vocalStyles.contains(vocalStyle) {
            throw .badOption(
                name: "style", value: "'\(vocalStyle)'",
                accepted: BracketTag.vocalStyles.joined(separator: ", "))
        }
        guard maximumTokens > 0 else {
            throw .badOption(
                name: "largest number of speech tokens", value: "\(maximumTokens)",
                accepted: "1 or more")
        }
    }
}

/// How a question is answered.
public struct ChatOptions: Sendable, Equatable {
    /// How answer tokens are drawn.
    public var sampling = SamplingOptions(temperature: 0.7, topP: 0.9)
    /// Largest number of answer tokens.
    public var maximumNewTokens = 2048
    /// Whether the answer is spoken.
    public var speaks = true
    /// How it is spoken.
    public var speech = SpeechOptions()
    /// Whose earlier answers may be given again, as for speech.
    public var cacheScope: String?

    /// The published defaults.
    public init() {}

    /// Refuses settings that cannot be sampled with.
    public func validate() throws(StepAudioError) {
        guard sampling.temperature.isFinite, sampling.temperature <= 10 else {
            throw .badOption(
                name: "temperature", value: "\(sampling.temperature)",
                accepted: "0 (greedy) to 10")
        }
        guard sampling.topP > 0, sampling.topP <= 1 else {
            throw .badOption(
                name: "top-p", value: "\(sampling.topP)", accepted: "above 0, at most 1")
        }
        guard sampling.topK >= 0 else {
            throw .badOption(name: "top-k", value: "\(sampling.topK)", accepted: "0 (off) or more")
        }
        guard maximumNewTokens > 0 else {
            throw .badOption(
                name: "largest number of answer tokens", value: "\(maximumNewTokens)",
                accepted: "1 or more")
        }
        if speaks {
            try speech.validate()
        }
    }
}

// Types of the modules below that users of this one need, so that one import is enough.

import AudioSignal
import LanguageModelInterface
import RemoteLanguageModel
import SpeechSynthesis
import TensorCore

/// Emotion, language and pace of speech.
public typealias SpeechStyle = SpeechSynthesis.SpeechStyle
/// How tokens are drawn.
public typealias SamplingOptions = LanguageModelInterface.SamplingOptions
/// Why a generation ended.
public typealias FinishReason = LanguageModelInterface.FinishReason
/// Samples with their rate.
public typealias AudioClip = AudioSignal.AudioClip
/// Precision of weights in memory.
public typealias WeightPrecision = TensorCore.WeightPrecision
/// Where a language model is served, and how it is asked.
public typealias ModelServer = RemoteEngine.Options
/// What a cache holds and how often it helped.
public typealias CacheStatistics = LanguageModelInterface.CacheStatistics

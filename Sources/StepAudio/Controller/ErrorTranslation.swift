// From the errors of the parts to the errors that users see.

import AudioSignal
import Checkpoints
import LanguageModel
import RemoteLanguageModel
import SpeechSynthesis
import SpeechTokenizer

extension StepAudioError {
    /// The user's error for whatever a part threw.
    init(_ error: any Error, stage: String) {
        switch error {
        case let error as StepAudioError: self = error
        case is CancellationError: self = .cancelled(stage: stage)
        case let error as RemoteError: self = .serverFailed(error.description)
        case let error as AudioError:
            self = .audioUnusable(source: "of \(stage)", reason: "\(error)")
        case CheckpointError.missingPart(let part, let places):
            self = .partMissing(part: "the \(part)", lookedAt: places)
        case let error as CheckpointError:
            self = .modelUnusable(part: "the model", reason: "\(error)")
        case let error as SpeechTokenizerError:
            self = Self.translate(error)
        case let error as SpeechSynthesisError:
            self = Self.translate(error, stage: stage)
        case let error as LanguageModelError:
            self = .generationFailed(stage: stage, reason: "\(error)")
        default:
            self = .generationFailed(stage: stage, reason: "\(error)")
        }
    }

    private static func translate(_ error: SpeechTokenizerError) -> StepAudioError {
        switch error {
        case .emptyAudio, .sampleNotFinite, .invalidSampleRate:
            .audioUnusable(source: "in memory", reason: "\(error)")
        case .malformedToken, .indexOutOfRange, .idOutOfRange, .brokenGroup, .cutOffGroup,
            .codeOutOfRange:
            .tokensUnusable("\(error)")
        case .unusableSetting, .positionsExhausted, .unreadableGraph:
            .modelUnusable(part: "the audio tokenizer", reason: "\(error)")
        }
    }

    private static func translate(
        _ error: SpeechSynthesisError, stage: String
    ) -> StepAudioError {
        switch error {
        case .emptyText: .emptyInput("the text to speak")
        case .noTokens: .emptyInput("the token string")
        case .unknownStyle(let kind, let value, let accepted):
            .badOption(
                name: kind, value: "'\(value)'", accepted: accepted.joined(separator: ", "))
        case .tokenOutOfRange: .tokensUnusable("\(error)")
        case .promptTooShort, .badPrompt:
            .audioUnusable(source: "of the voice", reason: "\(error)")
        case .pieceMissing, .vocabularyTooSmall, .unusableSetting:
            .modelUnusable(part: "the speech model", reason: "\(error)")
        case .noUsableTokens, .notFinite:
            .generationFailed(stage: stage, reason: "\(error)")
        }
    }
}

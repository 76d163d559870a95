// A recording that is turned into audio tokens while it is being made.

import AudioSignal
import SpeechTokenizer
import TensorCore

/// Takes samples as they come and gives the tokens of the whole recording at its end.
///
/// The result is that of `StepAudio.encode` on the whole recording.
public actor LiveRecording {
    private let tokenizer: AudioTokenizer
    private var samples: [Float] = []
    private var rate: Int?
    private var isFinished = false

    init(_ tokenizer: AudioTokenizer) {
        self.tokenizer = tokenizer
    }

    /// Length so far in seconds.
    public var seconds: Double { Double(samples.count) / Double(rate ?? 1) }

    /// Takes the next mono samples; all portions must have one rate.
    public func append(_ samples: [Float], sampleRate: Int) async throws {
        guard !isFinished else {
            throw StepAudioError.badOption(
                name: "the recording", value: "finished", accepted: "samples before its end")
        }
        guard rate == nil || rate == sampleRate else {
            throw StepAudioError.badOption(
                name: "the sample rate of a portion", value: "\(sampleRate) Hz",
                accepted: "\(rate ?? 0) Hz, as of the first portion")
        }
        rate = sampleRate
        self.samples += samples
    }

    /// Ends the recording and gives its tokens.
    public func finish() async throws -> EncodedAudio {
        isFinished = true
        let (samples, rate, tokenizer) = (samples, rate ?? 0, tokenizer)
        do {
            return try await ComputeThreads.run(urgent: true) {
                var timings = Timings()
                let tokens = try timings.measure(\.encode) {
                    try tokenizer.tokens(samples, sampleRate: rate, trim: false)
                }
                return EncodedAudio(
                    tokens, seconds: Double(samples.count) / Double(max(1, rate)), timings: timings)
            }
        } catch {
            throw StepAudioError(error, stage: "encoding")
        }
    }
}

extension StepAudio {
    /// Starts a recording whose tokens are made while it goes on.
    public func liveRecording() async throws -> LiveRecording {
        try await translating("encoding") {
            LiveRecording(try await ComputeThreads.run { [parts] in try parts.tokenizer() })
        }
    }
}

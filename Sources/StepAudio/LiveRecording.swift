// A recording that is turned into audio tokens while it is being made.

import AudioSignal
import SpeechTokenizer
import TensorCore

/// Takes samples as they come and gives the tokens of the whole recording at its end.
///
/// The result is that of `StepAudio.encode` on the whole recording. Most of the work is done when the end
/// comes: the linguistic codes of all whole pieces of 240 ms, unless the loudest sample came late (levels
/// count from it), and the semantic codes of all whole pieces of 30 s.
public actor LiveRecording {
    private let tokenizer: AudioTokenizer
    private var encoder: LiveEncoder?
    private var pending: [Float] = []
    private var count = 0
    private var rate: Int?
    private var isFinished = false
    private var isBusy = false

    init(_ tokenizer: AudioTokenizer) {
        self.tokenizer = tokenizer
    }

    /// Length so far in seconds.
    public var seconds: Double { Double(count) / Double(rate ?? 1) }

    /// Takes the next mono samples; all portions must have one rate.
    ///
    /// Returns when they are encoded as far as that is possible, or at once while another portion is
    /// being encoded.
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
        if encoder == nil {
            encoder = try translated { try LiveEncoder(tokenizer, sampleRate: sampleRate) }
        }
        rate = sampleRate
        count += samples.count
        pending += samples
        // Work in pieces of 60 ms or more.
        guard !isBusy, pending.count * 16 >= sampleRate else { return }
        try await encodePending()
    }

    /// Ends the recording and gives its tokens.
    public func finish() async throws -> EncodedAudio {
        isFinished = true
        while isBusy { try await Task.sleep(for: .milliseconds(2)) }
        let start = ContinuousClock.now
        try await encodePending()
        guard let encoder else {
            throw StepAudioError(SpeechTokenizerError.emptyAudio, stage: "encoding")
        }
        do {
            let tokens = try await ComputeThreads.run(urgent: true) {
                var encoder = encoder
                return try encoder.finish()
            }
            var timings = Timings()
            timings.encode = start.secondsUntilNow
            timings.elapsed = timings.encode
            return EncodedAudio(tokens, seconds: seconds, timings: timings)
        } catch {
            throw StepAudioError(error, stage: "encoding")
        }
    }

    private func encodePending() async throws {
        guard let known = encoder, !pending.isEmpty else { return }
        let samples = pending
        pending = []
        isBusy = true
        defer { isBusy = false }
        do {
            encoder = try await ComputeThreads.run(urgent: true) {
                var encoder = known
                try encoder.append(samples)
                return encoder
            }
        } catch {
            throw StepAudioError(error, stage: "encoding")
        }
    }

    private func translated<R>(_ work: () throws -> R) throws -> R {
        do { return try work() } catch { throw StepAudioError(error, stage: "encoding") }
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

// Carries samples to the live encoder in order, so that a session need not wait for it.

import StepAudio

/// A recording that grows beside its session.
final class RecordingFeed: Sendable {
    private let samples: AsyncStream<[Float]>.Continuation
    private let work: Task<EncodedAudio, any Error>

    init(_ recording: LiveRecording, sampleRate: Int) {
        let (stream, samples) = AsyncStream<[Float]>.makeStream()
        self.samples = samples
        work = Task {
            for await portion in stream {
                try await recording.append(portion, sampleRate: sampleRate)
            }
            try Task.checkCancellation()
            return try await recording.finish()
        }
    }

    func append(_ portion: [Float]) {
        samples.yield(portion)
    }

    /// The whole recording as tokens; nothing is added any more.
    func finish() -> Task<EncodedAudio, any Error> {
        samples.finish()
        return work
    }

    /// Throws the recording away.
    func drop() {
        work.cancel()
        samples.finish()
    }
}

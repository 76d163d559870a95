// What a realtime client's microphone sends. Samples reach the encoder while the user speaks; silence
// behind the last sound is held back until it is known whether more follows.

import Foundation
import StepAudio

/// The sound that has not become an item yet, 24 kHz.
struct InputAudioBuffer: Sendable {
    static let sampleRate = 24_000
    /// Samples that are kept behind the last sound.
    private static let tail = sampleRate * 22 / 100

    /// The recording that grows; nil while nobody speaks.
    private(set) var recording: RecordingFeed?
    /// The id that its item will have.
    private(set) var itemID = "item_" + ID.random()
    /// Samples that went to the recording.
    private(set) var recorded = 0
    private var held: [Float] = []
    private var heldStart = 0  // position of the first held sample

    /// Position behind the last sample.
    var end: Int { heldStart + held.count }

    /// Samples of the turn so far, those that wait included.
    var unsent: Int { recorded + held.count }

    /// Takes samples.
    mutating func append(_ samples: [Float]) {
        held += samples
    }

    /// Starts a recording at a position, or at the first sample that is still there.
    mutating func begin(_ recording: RecordingFeed, at position: Int) {
        drop(upTo: position)
        self.recording = recording
        recorded = 0
    }

    /// Samples up to a position that the recording has not had, and the tail behind them.
    mutating func take(upTo position: Int) -> [Float] {
        let count = max(0, min(held.count, position + Self.tail - heldStart))
        let samples = Array(held.prefix(count))
        held.removeFirst(count)
        heldStart += count
        recorded += count
        return samples
    }

    /// Forgets samples in front of a position.
    mutating func drop(upTo position: Int) {
        let count = max(0, min(held.count, position - heldStart))
        held.removeFirst(count)
        heldStart += count
    }

    /// Gives the recording away; the next one gets another id.
    mutating func close() -> (RecordingFeed, String)? {
        guard let recording else { return nil }
        defer {
            self.recording = nil
            itemID = "item_" + ID.random()
            recorded = 0
        }
        return (recording, itemID)
    }

    /// Forgets everything.
    mutating func clear() {
        close()?.0.drop()
        drop(upTo: end)
    }
}

// Lays the chunks of sentences end to end with a pause between sentences, faded at the seams so that
// nothing clicks. The last samples of a sentence are held back until it is known whether another follows.

import Foundation

/// Joins sentences chunk by chunk, as `SpeechSynthesizer.joined` joins whole ones.
public struct SpeechJoiner: Sendable {
    private let fadeLength: Int
    private let pauseLength: Int
    private var tail: [Float] = []
    /// Samples of the present sentence so far.
    private var position = 0
    private var isFirst = true

    /// Starts a speech.
    public init(sampleRate: Int) {
        fadeLength = Int(SpeechSynthesizer.fade * Double(sampleRate))
        pauseLength = Int(SpeechSynthesizer.pause * Double(sampleRate))
    }

    /// The samples of the present sentence that a further chunk makes ready.
    public mutating func append(_ chunk: [Float]) -> [Float] {
        var samples = chunk
        if !isFirst {
            for index in 0..<max(0, min(samples.count, fadeLength - position)) {
                samples[index] *= gain(position + index)
            }
        }
        position += samples.count
        let ready = tail + samples
        // The last samples may have to be faded.
        tail = Array(ready.suffix(fadeLength))
        return Array(ready.dropLast(tail.count))
    }

    /// Ends the present sentence because another follows: its end, faded, and the pause.
    public mutating func nextSentence() -> [Float] {
        for index in 0..<min(fadeLength, tail.count) {
            tail[tail.count - 1 - index] *= gain(index)
        }
        defer { (tail, position, isFirst) = ([], 0, false) }
        return tail + [Float](repeating: 0, count: pauseLength)
    }

    /// Ends the last sentence.
    public mutating func finish() -> [Float] {
        defer { tail = [] }
        return tail
    }

    private func gain(_ index: Int) -> Float {
        0.5 - 0.5 * Float(cos(Double.pi * (Double(index) + 0.5) / Double(fadeLength)))
    }
}

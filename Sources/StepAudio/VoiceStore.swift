// All speakers a system knows: the bundle's, in their order, then the user's own.

import AudioSignal
import Foundation

/// Finds, adds and removes speakers.
public struct VoiceStore: Sendable {
    private let bundled: SpeakerDirectory
    private var own: SpeakerDirectory

    /// Reads the bundle's and the user's speakers.
    public init(
        locations: ModelLocations, userDirectory: String = ModelLocations.userSpeakersDirectory
    ) throws(StepAudioError) {
        bundled = try SpeakerDirectory(path: locations.speakersDirectory)
        own = try SpeakerDirectory(path: userDirectory)
    }

    /// Every speaker; one of the user's hides a bundled one of the same id.
    public var speakers: [SpeakerDirectory.Speaker] {
        let ids = Set(own.speakers.map(\.id))
        return bundled.speakers.filter { !ids.contains($0.id) } + own.speakers
    }

    /// The speaker with an id, or the first one for nil.
    public func speaker(_ id: String?) throws(StepAudioError) -> SpeakerDirectory.Speaker {
        let all = speakers
        guard let first = all.first else { throw .noSpeakers(directory: bundled.path) }
        guard let id else { return bundled.speakers.first ?? first }
        guard let found = all.first(where: { $0.id == id }) else {
            throw .unknownSpeaker(id, known: all.map(\.id))
        }
        return found
    }

    /// Keeps a recording as a speaker of the user's own and returns the path of its prompt.
    ///
    /// The recording must be 1 to 30 s long, not silent and not clipped.
    public mutating func add(id: String, audio: String, text: String) throws(StepAudioError)
        -> String
    {
        func failure(_ reason: String) -> StepAudioError {
            .audioUnusable(source: audio, reason: reason)
        }
        let clip: AudioClip
        do {
            clip = try AudioFile.read(path: audio)
        } catch {
            throw failure("\(error)")
        }
        let seconds = clip.duration
        guard (1...30).contains(seconds) else {
            throw failure("it lasts \(seconds.rounded(toPlaces: 2)) s; accepted: 1 to 30 s")
        }
        let peak = clip.peak
        guard peak >= 0.01 else {
            throw failure("its peak is \(peak); a voice prompt needs at least 0.01")
        }
        let samples = clip.mono()
        let clipped = samples.count { abs($0) >= 0.999 }
        guard clipped * 1000 < samples.count else {
            throw failure("\(clipped) samples are clipped; at most one in a thousand is accepted")
        }
        let mono = AudioClip(mono: samples, sampleRate: clip.sampleRate)
        try own.add(id: id, promptText: text, wav: mono.wavData(format: .pcm16))
        return own.path + "/\(id)_prompt.wav"
    }

    /// Removes one of the user's own speakers.
    public mutating func remove(id: String) throws(StepAudioError) {
        guard try own.remove(id: id) else {
            if bundled.speakers.contains(where: { $0.id == id }) {
                throw .badOption(
                    name: "speaker", value: "'\(id)', which belongs to the bundle",
                    accepted: "speakers that were added: "
                        + (own.speakers.isEmpty
                            ? "none" : own.speakers.map(\.id).joined(separator: ", ")))
            }
            throw .unknownSpeaker(id, known: own.speakers.map(\.id))
        }
    }
}

extension Double {
    /// Rounded to decimal places, for messages.
    func rounded(toPlaces places: Int) -> Double {
        let factor = (0..<places).reduce(1.0) { product, _ in product * 10 }
        return (self * factor).rounded() / factor
    }
}

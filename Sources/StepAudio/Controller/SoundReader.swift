// Gets the samples behind a message's sound.

import AudioSignal
import Foundation

/// Reads recordings from files, standard input and memory.
enum SoundReader {
    /// The recording of a sound; tokens have none.
    static func clip(of sound: Message.Sound) throws(StepAudioError) -> AudioClip {
        let name = name(of: sound)
        do {
            switch sound {
            case .clip(let clip): return clip
            case .file("-"):
                guard let data = try FileHandle.standardInput.readToEnd() else {
                    throw AudioError.empty
                }
                return try AudioFile.read(data: data, name: name)
            case .file(let path): return try AudioFile.read(path: path)
            case .tokens:
                throw StepAudioError.audioUnusable(
                    source: name, reason: "its sound is needed, not its tokens")
            }
        } catch let error as StepAudioError {
            throw error
        } catch {
            throw .audioUnusable(source: name, reason: "\(error)")
        }
    }

    /// What messages call a sound.
    static func name(of sound: Message.Sound) -> String {
        switch sound {
        case .clip: "in memory"
        case .file("-"): "on standard input"
        case .file(let path): path
        case .tokens: "as tokens"
        }
    }
}

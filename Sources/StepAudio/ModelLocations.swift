// Where the parts of a system lie, and how the pocket bundle is found when nobody says.

import Checkpoints
import Foundation

/// Paths of a bundle and of parts that replace its own.
public struct ModelLocations: Sendable, Equatable {
    /// Bundle directory in the published layout.
    public var models: String?
    /// Audio tokenizer directory.
    public var tokenizer: String?
    /// Text-to-speech directory.
    public var tts: String?
    /// Chat model directory.
    public var llm: String?

    /// Names what is known; the rest comes from the bundle, and the bundle from `defaultBundle`.
    public init(
        models: String? = nil, tokenizer: String? = nil, tts: String? = nil, llm: String? = nil
    ) {
        self.models = models
        self.tokenizer = tokenizer
        self.tts = tts
        self.llm = llm
    }

    /// The bundle directory in use.
    public var bundle: String { models ?? Self.defaultBundle }

    /// Where each part's files are looked for.
    package var layout: BundleLayout {
        BundleLayout(models: bundle, tokenizer: tokenizer, tts: tts, llm: llm)
    }

    /// Directory of the speakers: the bundle's, or the one beside or inside the TTS directory.
    public var speakersDirectory: String {
        guard models == nil, let tts else { return bundle + "/speakers" }
        let inside = tts + "/speakers"
        let beside = URL(fileURLWithPath: tts).deletingLastPathComponent()
            .appendingPathComponent("speakers").path
        return FileManager.default.fileExists(atPath: inside) ? inside : beside
    }
    /// The pocket bundle: `Models/pocket` in or above the working directory, the command's own
    /// directory or the package's sources, or `share/stepaudio/pocket` beside the command.
    public static var defaultBundle: String {
        let command = Bundle.main.executableURL?.resolvingSymlinksInPath()
            .deletingLastPathComponent()
        let starts = [
            URL(fileURLWithPath: FileManager.default.currentDirectoryPath), command,
            URL(fileURLWithPath: #filePath),
        ].compactMap(\.self)
        func isBundle(_ path: String) -> Bool {
            FileManager.default.fileExists(atPath: path + "/Step-Audio-TTS-3B")
        }
        for start in starts {
            var directory = start
            for _ in 0..<8 {
                let candidate = directory.appendingPathComponent("Models/pocket").path
                if isBundle(candidate) { return candidate }
                directory.deleteLastPathComponent()
            }
        }
        if let installed = command?.deletingLastPathComponent()
            .appendingPathComponent("share/stepaudio/pocket").path, isBundle(installed)
        {
            return installed
        }
        return "Models/pocket"
    }

    /// The user's own speakers: STEPAUDIO_VOICES, or a folder of the user's data.
    public static var userSpeakersDirectory: String {
        let environment = ProcessInfo.processInfo.environment
        if let path = environment["STEPAUDIO_VOICES"], !path.isEmpty { return path }
        if let data = environment["XDG_DATA_HOME"], !data.isEmpty {
            return data + "/stepaudio/voices"
        }
        return NSHomeDirectory() + "/.local/share/stepaudio/voices"
    }

    /// Where this user's caches live: `STEPAUDIO_CACHE` (`off` for none), else `stepaudio` in the
    /// directory that the XDG rules name.
    public static var userCacheDirectory: String? {
        let environment = ProcessInfo.processInfo.environment
        if let path = environment["STEPAUDIO_CACHE"], !path.isEmpty {
            return path == "off" ? nil : path
        }
        // A relative path in the variable is to be ignored, by the same rules.
        if let base = environment["XDG_CACHE_HOME"], base.hasPrefix("/") {
            return base + "/stepaudio"
        }
        return NSHomeDirectory() + "/.cache/stepaudio"
    }
}

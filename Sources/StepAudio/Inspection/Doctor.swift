// Whether this machine and this bundle can do the job: processor, memory, helper programs, files, and a
// round trip through every part that is there.

import AudioSignal
import Foundation
import LanguageModel
import RemoteLanguageModel
import TensorCore

/// Examines a machine and a bundle.
public enum Doctor {
    /// What one check found.
    public struct Check: Sendable, Encodable {
        /// How it went.
        public enum Status: String, Sendable, Encodable {
            case passed, warning, failed

            /// One sign for a terminal.
            public var mark: String {
                switch self {
                case .passed: "ok  "
                case .warning: "warn"
                case .failed: "FAIL"
                }
            }
        }

        /// What was looked at.
        public let name: String
        /// How it went.
        public let status: Status
        /// What was seen, and what to do about it.
        public let finding: String
    }

    /// Runs all checks.
    public static func examine(
        locations: ModelLocations, precision: WeightPrecision?, chatServer: ModelServer? = nil,
        progress: @escaping StepAudio.Progress = { _, _, _ in }
    ) async -> [Check] {
        var checks = machine()
        if let chatServer { checks += await servers(chatServer, locations) }
        let inspection: BundleInspection
        do {
            inspection = try BundleInspection(locations: locations)
        } catch {
            return checks + [Check(name: "bundle", status: .failed, finding: "\(error)")]
        }
        checks.append(Check(name: "bundle", status: .passed, finding: inspection.directory))
        for part in inspection.parts {
            let isDamaged = part.details.first?.hasPrefix("damaged") ?? false
            let isOptional = part.name == "music decoder"
            let status: Check.Status =
                part.isPresent ? (isDamaged ? .failed : .passed) : (isOptional ? .passed : .warning)
            let seen =
                part.isPresent
                ? (isDamaged
                    ? part.details.joined(separator: "; ") : "\(part.parameters) parameters")
                : "not in the bundle (looked for \(part.details.first ?? part.path))"
            checks.append(Check(name: part.name, status: status, finding: seen))
        }
        checks += await trial(inspection, locations, precision, chatServer, progress)
        return checks
    }

    private static func machine() -> [Check] {
        var checks = [
            Check(
                name: "processor", status: .passed,
                finding: "\(Parallel.threadCount) threads, kernels \(Parallel.kernelName)")
        ]
        if let free = ProcessMemory.available {
            checks.append(
                Check(
                    name: "memory", status: free > 500_000_000 ? .passed : .warning,
                    finding: "\(free / 1_000_000) MB free"))
        }
        checks.append(
            FFmpeg.path.map {
                Check(name: "ffmpeg", status: .passed, finding: $0)
            }
                ?? Check(
                    name: "ffmpeg", status: .warning,
                    finding: "not found; only WAV files can be read"))
        return checks
    }

    /// What each server says of itself, and whether its tokenizer agrees with ours.
    private static func servers(_ options: ModelServer, _ locations: ModelLocations) async
        -> [Check]
    {
        let tokenizer = Result {
            try UnigramTokenizer(directory: locations.layout.chatVocabularyFolder())
        }
        var checks: [Check] = []
        for (url, result) in await RemoteEngine.status(of: options) {
            guard case .success(let status) = result else {
                if case .failure(let error) = result {
                    checks.append(Check(name: "server", status: .failed, finding: "\(error)"))
                }
                continue
            }
            let facts = [
                status.version.map { "version \($0)" },
                "models \(status.models.joined(separator: ", "))",
                status.contextLength.map { "context \($0)" },
                "latency \((status.latency * 1000).rounded(toPlaces: 1)) ms",
            ]
            checks.append(
                Check(
                    name: "server", status: .passed,
                    finding: "\(url): " + facts.compactMap(\.self).joined(separator: ", ")))
            checks.append(await vocabulary(tokenizer, options, url, status))
        }
        return checks
    }

    private static func vocabulary(
        _ tokenizer: Result<UnigramTokenizer, any Error>, _ options: ModelServer, _ url: String,
        _ status: RemoteEngine.Status
    ) async -> Check {
        let name = "server vocabulary"
        do {
            let ours = try tokenizer.get()
            let model = options.model ?? status.models.first ?? ""
            var different: [String] = []
            for piece in ["<|BOT|>", "<|EOT|>", "<audio_0>"] {
                let known = ours.encode(piece, addDummyPrefix: false)
                let theirs = try await RemoteEngine.tokenize(
                    piece, model: model, at: url, options: options)
                if theirs != known { different.append("\(piece) is \(theirs), here \(known)") }
            }
            guard different.isEmpty else {
                return Check(
                    name: name, status: .failed, finding: different.joined(separator: "; "))
            }
            return Check(
                name: name, status: .passed, finding: "<|BOT|>, <|EOT|> and <audio_0> agree")
        } catch {
            return Check(name: name, status: .warning, finding: "\(error)")
        }
    }

    /// Loads what is there and sends something through it.
    private static func trial(
        _ inspection: BundleInspection, _ locations: ModelLocations, _ precision: WeightPrecision?,
        _ chatServer: ModelServer?, _ progress: @escaping StepAudio.Progress
    ) async -> [Check] {
        let system = StepAudio(
            locations: locations,
            options: .init(precision: precision, progress: progress, chatServer: chatServer))
        func has(_ name: String) -> Bool {
            inspection.parts.first { $0.name == name }?.isPresent ?? false
        }
        var checks: [Check] = []
        func attempt(_ name: String, _ work: () async throws -> String) async {
            let start = ContinuousClock.now
            do {
                let finding = try await work()
                let seconds = start.secondsUntilNow.rounded(toPlaces: 2)
                checks.append(
                    Check(name: name, status: .passed, finding: "\(finding) (\(seconds) s)"))
            } catch {
                checks.append(Check(name: name, status: .failed, finding: "\(error)"))
            }
        }
        if has("audio tokenizer") {
            await attempt("encoding") {
                let tone = (0..<16_000).map { Float(sin(Double($0) * 0.17)) * 0.3 }
                let clip = AudioClip(mono: tone, sampleRate: 16_000)
                return "1 s of sound is \(try await system.encode(.clip(clip)).ids.count) tokens"
            }
        }
        if has("chat model") || chatServer != nil {
            await attempt("answering") {
                var options = ChatOptions()
                options.speaks = false
                options.maximumNewTokens = 24
                let answer = try await system.answer([.user("Hello.")], options: options).answer
                return "\"Hello.\" is answered with \(answer.tokens.count) tokens"
            }
        }
        if has("audio tokenizer"), has("speech decoder"), has("speech model"),
            !inspection.speakers.isEmpty
        {
            await attempt("speaking") {
                let spoken = try await system.say("Hello.")
                return "\"Hello.\" is \(spoken.speech.seconds.rounded(toPlaces: 2)) s of sound"
            }
        }
        return checks
    }
}

// Where the time of a request went, and the memory of the process.

import Foundation

/// Seconds per stage of one request.
public struct Timings: Sendable, Equatable, Codable {
    /// Reading weights.
    public var load = 0.0
    /// Audio to tokens.
    public var encode = 0.0
    /// The chat model, prompt and answer.
    public var chat = 0.0
    /// The text-to-speech model.
    public var speechTokens = 0.0
    /// The flow decoder.
    public var flow = 0.0
    /// The vocoder.
    public var vocoder = 0.0
    /// Tempo and volume.
    public var adjust = 0.0

    /// From the start of the work to its end, loading left out.
    ///
    /// Stages that run side by side add up to more.
    public var elapsed = 0.0
    /// From the start of the work to the first sound, when it was streamed.
    public var firstAudio: Double?

    /// Starts at zero.
    public init() {}

    /// Sum of all stages but loading.
    public var total: Double { encode + chat + speechTokens + flow + vocoder + adjust }

    /// Adds another request's seconds.
    public static func += (left: inout Timings, right: Timings) {
        left.load += right.load
        left.encode += right.encode
        left.chat += right.chat
        left.speechTokens += right.speechTokens
        left.flow += right.flow
        left.vocoder += right.vocoder
        left.adjust += right.adjust
        left.elapsed += right.elapsed
        left.firstAudio = left.firstAudio ?? right.firstAudio
    }

    private enum CodingKeys: String, CodingKey {
        case load, encode, chat, flow, vocoder, adjust, elapsed
        case firstAudio = "first_audio"
        case speechTokens = "speech_tokens"
    }

    /// Runs work and adds its seconds to a stage.
    mutating func measure<R>(
        _ stage: WritableKeyPath<Timings, Double>, _ work: () throws -> R
    ) rethrows -> R {
        let start = ContinuousClock.now
        defer { self[keyPath: stage] += start.secondsUntilNow }
        return try work()
    }
}

extension ContinuousClock.Instant {
    /// Seconds from this instant to now.
    public var secondsUntilNow: Double {
        let (seconds, attoseconds) = duration(to: .now).components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}

/// The memory of this process and machine, in bytes.
public enum ProcessMemory {
    /// Largest resident size so far, or nil where the system does not say.
    public static var peak: Int? {
        #if os(Linux)
            field("VmHWM", of: "/proc/self/status")
        #else
            {
                var usage = rusage()
                return getrusage(RUSAGE_SELF, &usage) == 0 ? Int(usage.ru_maxrss) : nil
            }()
        #endif
    }

    /// Memory that can be used without pushing anything out, or nil where the system does not say.
    public static var available: Int? {
        #if os(Linux)
            let machine = field("MemAvailable", of: "/proc/meminfo")
            guard let limit = containerHeadroom else { return machine }
            return machine.map { min($0, limit) } ?? limit
        #else
            Int(ProcessInfo.processInfo.physicalMemory)
        #endif
    }

    #if os(Linux)
        private static func field(_ name: String, of path: String) -> Int? {
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
            for line in text.split(separator: "\n") where line.hasPrefix(name + ":") {
                return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }
                    .map { $0 * 1024 }
            }
            return nil
        }

        /// What a container's memory limit (cgroup v2) leaves.
        private static var containerHeadroom: Int? {
            func number(_ name: String) -> Int? {
                (try? String(contentsOfFile: "/sys/fs/cgroup/\(name)", encoding: .utf8))
                    .flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
            }
            guard let limit = number("memory.max"), let used = number("memory.current") else {
                return nil
            }
            return max(0, limit - used)
        }
    #endif
}

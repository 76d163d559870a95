// What all endpoints share: the system, the limits, the voices, and what is known about the server.

import Foundation
import Hummingbird
import Logging
import StepAudio
import Synchronization

/// The shared parts of a running server.
final class Backend: Sendable {
    let system: StepAudio
    let options: ServerOptions
    let admission: Admission
    let connections = ConnectionRegistry()
    let metrics = MetricsRegistry()
    let voices: VoiceLibrary
    let answers = AnswerMemory()
    let readiness = Readiness()
    let sessions = Mutex(0)
    let logger: Logger
    /// When the server was made, as clients see it.
    let started = Int(Date.now.timeIntervalSince1970)

    init(system: StepAudio, options: ServerOptions, logger: Logger) {
        self.system = system
        self.options = options
        self.logger = logger
        admission = Admission(limits: options.limits)
        voices = VoiceLibrary(locations: system.locations, userDirectory: options.userVoices)
    }

    var limits: ServerLimits { options.limits }

    /// Whose earlier answers a client may get again; nil gives none.
    func cacheScope(_ client: String) -> String? {
        options.keepsAnswers ? client : nil
    }

    /// Logs a text of a user or of an answer, when the options say so.
    func logContent(_ label: String, _ text: String, _ context: ServerContext) {
        guard options.logsContent else { return }
        logger.info(
            "content", metadata: ["request": "\(context.requestID)", "\(label)": "\(text)"])
    }
}

/// Whether the weights are in.
final class Readiness: Sendable {
    enum State: Sendable, Equatable {
        case loading
        case ready
        case failed(String)
    }

    private let current = Mutex(State.loading)

    var state: State { current.withLock { $0 } }

    func become(_ state: State) {
        current.withLock { $0 = state }
    }

    /// Throws while nothing can be answered.
    func check() throws(APIError) {
        switch state {
        case .ready: return
        case .loading:
            throw .unavailable("the models are still loading", code: "loading", retryAfter: 2)
        case .failed(let reason):
            throw .unavailable(
                "the models could not be loaded: \(reason)", code: "loading_failed", retryAfter: 60)
        }
    }
}

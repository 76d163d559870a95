// Flags that several verbs share, each with its twin in the environment. A flag wins over its
// twin; a twin with a bad value is refused like a bad flag.

import ArgumentParser
import Foundation
import StepAudio
import TensorCore

/// Values of the environment's STEPAUDIO_ variables.
enum Environment {
    /// The raw value of a variable, nil when unset or empty.
    static func value(_ name: String) -> String? {
        guard let value = ProcessInfo.processInfo.environment["STEPAUDIO_" + name], !value.isEmpty
        else { return nil }
        return value
    }

    /// The value of a variable as a number or another type with a text form.
    static func value<Value: LosslessStringConvertible>(
        _ name: String, as type: Value.Type
    ) throws -> Value? {
        guard let text = value(name) else { return nil }
        guard let value = Value(text) else {
            throw ValidationError("STEPAUDIO_\(name) is '\(text)', which is not a \(type)")
        }
        return value
    }

    /// Whether a variable switches its flag on: 1, true, yes or on.
    static func flag(_ name: String) throws -> Bool {
        guard let text = value(name) else { return false }
        switch text.lowercased() {
        case "1", "true", "yes", "on": return true
        case "0", "false", "no", "off": return false
        default: throw ValidationError("STEPAUDIO_\(name) is '\(text)'; accepted: 1 or 0")
        }
    }
}

/// Where the models are and how they run.
struct ModelSettings: ParsableArguments {
    @Option(help: "Bundle directory (default: the pocket bundle).")
    var models: String?

    @Option(help: "Audio tokenizer directory, instead of the bundle's Step-Audio-Tokenizer.")
    var tokenizer: String?

    @Option(help: "TTS directory, instead of the bundle's Step-Audio-TTS-3B.")
    var tts: String?

    @Option(help: "Chat model directory, instead of the bundle's Step-Audio-Chat.")
    var llm: String?

    @Option(
        help: """
            Server of the chat model, such as http://host:8000; several are shared out. The key is \
            read from STEPAUDIO_LLM_KEY.
            """)
    var llmURL: [String] = []

    @Option(help: "Name of the chat model on the server (default: its first).")
    var llmModel: String?

    @Option(help: "Server of the speech language model (a Step-Audio TTS model on vLLM).")
    var ttsURL: [String] = []

    @Option(help: "Name of the speech language model on its server (default: its first).")
    var ttsModel: String?

    @Option(help: "Language models' weights in memory: auto, fp32, bf16, int8 or int4.")
    var precision: String?

    @Option(parsing: .unconditional, help: "Threads to compute with (default: all cores).")
    var threads: Int?

    @Option(parsing: .unconditional, help: "Seed of every random draw.")
    var seed: UInt64?

    @Flag(help: "Print one JSON object, with timings and memory.")
    var json = false

    @Flag(help: "No progress and no notes.")
    var quiet = false

    @Flag(help: "Print stage timings and the real-time factor to standard error.")
    var verbose = false

    /// The server that the flags or the environment name; addresses in the variable are separated by
    /// commas.
    private static func server(_ urls: [String], _ model: String?, twin: String) -> ModelServer? {
        let named = (Environment.value(twin + "_URL") ?? "").split(separator: ",").map(String.init)
        guard !(urls + named).isEmpty else { return nil }
        return ModelServer(
            urls: urls.isEmpty ? named : urls, model: model ?? Environment.value(twin + "_MODEL"),
            key: Environment.value(twin + "_KEY"))
    }

    /// The settings with the environment's twins filled in.
    func resolved() throws -> ResolvedModelSettings {
        let precisionName = precision ?? Environment.value("PRECISION") ?? "auto"
        let accepted = ["auto"] + WeightPrecision.allCases.map(\.rawValue)
        guard accepted.contains(precisionName) else {
            throw ValidationError(
                "precision is '\(precisionName)'; accepted: \(accepted.joined(separator: ", "))")
        }
        let threads = try threads ?? Environment.value("THREADS", as: Int.self) ?? 0
        guard (0...1024).contains(threads) else {
            throw ValidationError("threads is \(threads); accepted: 1 to 1024, 0 for all cores")
        }
        Parallel.setThreadCount(threads)
        return ResolvedModelSettings(
            locations: ModelLocations(
                models: models ?? Environment.value("MODELS"),
                tokenizer: tokenizer ?? Environment.value("TOKENIZER"),
                tts: tts ?? Environment.value("TTS"),
                llm: llm ?? Environment.value("LLM")),
            chatServer: Self.server(llmURL, llmModel, twin: "LLM"),
            speechServer: Self.server(ttsURL, ttsModel, twin: "TTS"),
            precision: WeightPrecision(rawValue: precisionName),
            seed: try seed ?? Environment.value("SEED", as: UInt64.self) ?? 0,
            json: try json || Environment.flag("JSON"),
            quiet: try quiet || Environment.flag("QUIET"),
            verbose: try verbose || Environment.flag("VERBOSE"))
    }
}

/// Model settings after flags and environment were joined.
struct ResolvedModelSettings {
    let locations: ModelLocations
    let chatServer: ModelServer?
    let speechServer: ModelServer?
    let precision: WeightPrecision?  // nil: chosen by the memory that is free
    let seed: UInt64
    let json: Bool
    let quiet: Bool
    let verbose: Bool
}

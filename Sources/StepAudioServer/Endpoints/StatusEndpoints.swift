// GET /v1/models, /health and /metrics: what runs here and how it fares.

import Foundation
import Hummingbird
import StepAudio

/// A model as clients see it.
struct WireModel: Codable, Sendable {
    var id: String
    var object = "model"
    var created: Int
    var ownedBy = "stepaudio"
}

/// Whether requests can be answered.
struct HealthReply: Codable, Sendable {
    /// `ok`, `loading` or `failed`.
    var status: String
    var reason: String?
    var version: String
    var running: Int
    var waiting: Int
}

extension Backend {
    /// The names of the models; every request is answered by the same system, whatever its `model`.
    private var models: [WireModel] {
        [Self.chatModel, "step-audio-tts", "step-audio-tokenizer"].map {
            WireModel(id: $0, created: started)
        }
    }

    func listModels(_ request: Request, _ context: ServerContext) async throws -> Response {
        try JSON.response(WireList(data: models))
    }

    func showModel(_ request: Request, _ context: ServerContext) async throws -> Response {
        let id = try context.parameters.require("id")
        guard let model = models.first(where: { $0.id == id }) else {
            throw APIError.notFound(
                "there is no model '\(id)'; known models: "
                    + models.map(\.id).joined(separator: ", "),
                param: "model", code: "model_not_found")
        }
        return try JSON.response(model)
    }

    /// 200 when the weights are in, 503 before.
    func health(_ request: Request, _ context: ServerContext) async throws -> Response {
        let load = admission.load
        var reply = HealthReply(
            status: "ok", version: StepAudioVersion.current, running: load.running,
            waiting: load.waiting)
        switch readiness.state {
        case .ready: return try JSON.response(reply)
        case .loading: reply.status = "loading"
        case .failed(let reason):
            reply.status = "failed"
            reply.reason = reason
        }
        return try JSON.response(reply, status: .serviceUnavailable)
    }

    /// Prometheus' text format.
    func showMetrics(_ request: Request, _ context: ServerContext) async throws -> Response {
        let text = metrics.text(gauges: await gauges())
        return Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    private func gauges() async -> [MetricsRegistry.Gauge] {
        let load = admission.load
        let ready = readiness.state == .ready
        var gauges: [MetricsRegistry.Gauge] = [
            .init(
                name: "stepaudio_ready", help: "1 when the weights are in.", value: ready ? 1 : 0),
            .init(
                name: "stepaudio_requests_running", help: "Requests that are worked on.",
                value: Double(load.running)),
            .init(
                name: "stepaudio_requests_waiting", help: "Requests in the queue.",
                value: Double(load.waiting)),
            .init(
                name: "stepaudio_connections", help: "Open connections.",
                value: Double(connections.count)),
            .init(
                name: "stepaudio_realtime_sessions", help: "Open realtime sessions.",
                value: Double(sessions.withLock { $0 })),
        ]
        if let resident = ProcessMemory.resident {
            gauges.append(
                .init(
                    name: "process_resident_memory_bytes", help: "Resident memory.",
                    value: Double(resident)))
        }
        if ready { gauges += await systemGauges() }
        return gauges
    }

    private func systemGauges() async -> [MetricsRegistry.Gauge] {
        let statistics = await system.statistics()
        var gauges: [MetricsRegistry.Gauge] = [
            .init(
                name: "stepaudio_weight_bytes", help: "Bytes of the weights that are loaded.",
                value: Double(statistics.weightBytes))
        ]
        gauges += Self.cacheGauges(statistics.speakers, "speaker_cache", "Voices")
        gauges += Self.cacheGauges(statistics.answers, "answer_cache", "Whole answers")
        for (name, engine) in [("chat", statistics.chat), ("speech", statistics.speech)] {
            guard let engine else { continue }
            func gauge(_ suffix: String, _ help: String, _ value: Int, _ kind: String = "gauge") {
                gauges.append(
                    .init(
                        name: "stepaudio_\(name)_\(suffix)", help: "The \(name) model: \(help).",
                        value: Double(value), kind: kind))
            }
            gauge("batch_size", "requests that generate now", engine.running)
            gauge("batch_size_largest", "requests in the largest step", engine.largestBatch)
            gauge("waiting", "requests that wait for memory", engine.waiting)
            gauge("steps_total", "token steps", engine.steps, "counter")
            gauge("prompt_tokens_total", "prompt tokens", engine.promptTokens, "counter")
            gauge(
                "reused_tokens_total", "prompt tokens found ready", engine.reusedTokens, "counter")
            gauge("generated_tokens_total", "tokens written", engine.generatedTokens, "counter")
            gauge("cache_bytes", "bytes of key-value pages", engine.cacheBytes)
            gauges += Self.cacheGauges(
                engine.prefixes, "\(name)_prefix_cache", "Prompts of the \(name) model")
        }
        return gauges
    }

    private static func cacheGauges(
        _ cache: CacheStatistics, _ name: String, _ what: String
    ) -> [MetricsRegistry.Gauge] {
        [
            ("hits_total", "found ready", cache.hits, "counter"),
            ("misses_total", "not found", cache.misses, "counter"),
            ("evictions_total", "pushed out", cache.evictions, "counter"),
            ("entries", "kept now", cache.entries, "gauge"),
            ("bytes", "kept now, in bytes", cache.bytes, "gauge"),
            ("limit_bytes", "kept at most, in bytes", cache.limitBytes, "gauge"),
        ].map { suffix, help, value, kind in
            .init(
                name: "stepaudio_\(name)_\(suffix)", help: "\(what) \(help).",
                value: Double(value), kind: kind)
        }
    }
}

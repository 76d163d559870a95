// Counters and histograms with labels, printed in Prometheus' text format 0.0.4.

import Synchronization

/// Numbers about what the server did.
package final class MetricsRegistry: Sendable {
    /// Label names with values, in order.
    package typealias Labels = [(name: String, value: String)]

    private struct Histogram {
        var counts: [Int]
        var sum = 0.0
        var total = 0
    }

    private struct Family {
        var help: String
        var buckets: [Double]  // empty: a counter
        var counters: [String: Double] = [:]
        var histograms: [String: Histogram] = [:]
    }

    private let families: Mutex<[String: Family]>

    /// Bounds for seconds, from 10 ms to 5 minutes.
    package static let seconds = [
        0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 120, 300,
    ]
    /// Bounds for real-time factors.
    package static let factors = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 4, 8, 16]

    package init() {
        func counter(_ help: String) -> Family { Family(help: help, buckets: []) }
        families = Mutex([
            "stepaudio_requests_total": counter("Requests, by endpoint and status."),
            "stepaudio_tokens_total": counter("Tokens read and written, by kind."),
            "stepaudio_speech_seconds_total": counter("Seconds of speech made."),
            "stepaudio_recording_seconds_total": counter("Seconds of recordings heard."),
            "stepaudio_cancelled_total": counter("Requests whose client left before the end."),
            "stepaudio_realtime_sessions_total": counter("Realtime sessions begun."),
            "stepaudio_realtime_barge_ins_total": counter("Answers that the user broke off."),
            "stepaudio_request_seconds": Family(
                help: "Time from the request to the last byte.", buckets: Self.seconds),
            "stepaudio_first_audio_seconds": Family(
                help: "Time from the request to the first samples.", buckets: Self.seconds),
            "stepaudio_real_time_factor": Family(
                help: "Time of an answer over the length of its speech.", buckets: Self.factors),
        ])
    }

    /// Adds to a counter.
    package func add(_ name: String, _ amount: Double = 1, _ labels: Labels = []) {
        let key = Self.text(labels)
        families.withLock { $0[name]?.counters[key, default: 0] += amount }
    }

    /// Adds a value to a histogram.
    package func observe(_ name: String, _ value: Double, _ labels: Labels = []) {
        let key = Self.text(labels)
        families.withLock { families in
            guard let buckets = families[name]?.buckets else { return }
            var histogram =
                families[name]?.histograms[key]
                ?? Histogram(counts: [Int](repeating: 0, count: buckets.count))
            for (index, bound) in buckets.enumerated() where value <= bound {
                histogram.counts[index] += 1
            }
            histogram.sum += value
            histogram.total += 1
            families[name]?.histograms[key] = histogram
        }
    }

    /// Everything as text, with `gauges` of the moment.
    package func text(gauges: [Gauge]) -> String {
        let families = families.withLock { $0 }
        var lines: [String] = []
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            lines.append("# HELP \(name) \(family.help)")
            lines.append("# TYPE \(name) \(family.buckets.isEmpty ? "counter" : "histogram")")
            if family.buckets.isEmpty, family.counters.isEmpty {
                lines.append("\(name) 0")
            }
            for (labels, value) in family.counters.sorted(by: { $0.key < $1.key }) {
                lines.append("\(name)\(Self.braced(labels)) \(Self.number(value))")
            }
            for (labels, histogram) in family.histograms.sorted(by: { $0.key < $1.key }) {
                lines += Self.lines(name, labels, histogram, family.buckets)
            }
        }
        for gauge in gauges {
            lines.append("# HELP \(gauge.name) \(gauge.help)")
            lines.append("# TYPE \(gauge.name) \(gauge.kind)")
            lines.append("\(gauge.name) \(Self.number(gauge.value))")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A value of the moment.
    package struct Gauge: Sendable {
        package var name: String
        package var help: String
        package var value: Double
        package var kind: String

        package init(name: String, help: String, value: Double, kind: String = "gauge") {
            (self.name, self.help, self.value, self.kind) = (name, help, value, kind)
        }
    }

    private static func lines(
        _ name: String, _ labels: String, _ histogram: Histogram, _ buckets: [Double]
    ) -> [String] {
        let separator = labels.isEmpty ? "" : ","
        var lines = zip(buckets, histogram.counts).map { bound, count in
            "\(name)_bucket{\(labels)\(separator)le=\"\(number(bound))\"} \(count)"
        }
        lines.append("\(name)_bucket{\(labels)\(separator)le=\"+Inf\"} \(histogram.total)")
        lines.append("\(name)_sum\(braced(labels)) \(number(histogram.sum))")
        lines.append("\(name)_count\(braced(labels)) \(histogram.total)")
        return lines
    }

    private static func braced(_ labels: String) -> String {
        labels.isEmpty ? "" : "{\(labels)}"
    }

    private static func text(_ labels: Labels) -> String {
        labels.map { label in
            let value = label.value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
                .replacing("\n", with: "\\n")
            return "\(label.name)=\"\(value)\""
        }.joined(separator: ",")
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
    }
}

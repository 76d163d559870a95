// A benchmark's report as lines of text and as a picture.

import Foundation
import TensorCore

extension Benchmark {
    /// Sets the threads of the process; zero takes all cores.
    public static func setThreadCount(_ count: Int) { Parallel.setThreadCount(count) }
}

extension BenchmarkReport {
    /// One line for the machine and one for each result.
    public var lines: [String] {
        let head =
            "\(machine.threads) threads, \(machine.kernels): reads "
            + "\(Self.text(machine.readGigabytesPerSecond)) GB/s, fp32 "
            + "\(Self.text(machine.fp32Gigaflops)) GFLOP/s, int8 \(Self.text(machine.int8Gigaops)) "
            + "and int4 \(Self.text(machine.int4Gigaops)) Gop/s, hand-over \(Self.text(machine.handOverMicroseconds)) us"
        return [head] + results.map(Self.line)
    }

    private static func line(_ r: Result) -> String {
        var parts = ["\(r.stage) \(r.shape) \(r.precision)"]
        if r.context > 0 { parts.append("context \(r.context), batch \(r.batch)") }
        if let layers = r.layers, let all = r.layersOfShape, layers < all {
            parts.append("\(layers) of \(all) layers")
        }
        parts.append("\(text(r.seconds * 1000)) ms (spread \(text(r.spread * 100)) %)")
        if let value = r.tokensPerSecond { parts.append("\(text(value)) tokens/s") }
        if let value = r.gigabytesPerSecond { parts.append("\(text(value)) GB/s") }
        if let value = r.gigaflops { parts.append("\(text(value)) GFLOP/s") }
        if let value = r.realTimeFactor { parts.append("real-time factor \(text(value))") }
        if let share = r.shareOfLimit, let limit = r.limit {
            parts.append("\(text(share * 100)) % of \(limit)")
        }
        if let cosine = r.logitsCosine, let divergence = r.divergence,
            let agreement = r.greedyAgreement
        {
            parts.append(
                "logits cosine \(cosine.rounded(toPlaces: 6)), divergence "
                    + "\(text(divergence)) nats, same first choice \(text(agreement * 100)) %")
        }
        return parts.joined(separator: ", ")
    }

    /// Three significant digits.
    private static func text(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return "0" }
        let digits = max(0, 2 - Int(log10(abs(value)).rounded(.down)))
        let factor = pow(10, Double(digits))
        let rounded = (value * factor).rounded() / factor
        return digits == 0 ? "\(Int(rounded))" : "\(rounded)"
    }

    /// Bars of the share of the limit that each result reached.
    public var svg: String {
        let (row, left, width) = (24, 330, 400)
        let height = 60 + row * results.count
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(left + width + 90)\" "
                + "height=\"\(height)\" font-family=\"sans-serif\" font-size=\"13\">",
            "<text x=\"10\" y=\"20\">Share of the machine's limit (read "
                + "\(Self.text(machine.readGigabytesPerSecond)) GB/s, fp32 "
                + "\(Self.text(machine.fp32Gigaflops)) GFLOP/s, \(machine.threads) threads)</text>",
        ]
        for (index, r) in results.enumerated() {
            let y = 40 + row * index
            let share = min(1, max(0, r.shareOfLimit ?? 0))
            let depth = r.context > 0 ? ", context \(r.context), batch \(r.batch)" : ""
            let value =
                r.shareOfLimit.map { "\(Self.text($0 * 100)) % of \(r.limit ?? "")" }
                ?? "real-time factor \(Self.text(r.realTimeFactor ?? 0))"
            lines.append(
                "<text x=\"10\" y=\"\(y + 14)\">\(r.stage) \(r.shape) \(r.precision)\(depth)</text>"
                    + "<rect x=\"\(left)\" y=\"\(y)\" width=\"\(width)\" height=\"18\" "
                    + "fill=\"#eeeeee\"/><rect x=\"\(left)\" y=\"\(y)\" "
                    + "width=\"\(Int(share * Double(width)))\" height=\"18\" fill=\"#4477aa\"/>"
                    + "<text x=\"\(left + 6)\" y=\"\(y + 14)\">\(value)</text>")
        }
        return (lines + ["</svg>", ""]).joined(separator: "\n")
    }
}

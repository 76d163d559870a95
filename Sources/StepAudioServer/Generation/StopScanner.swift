// Finds the first of some texts in an answer that comes in pieces, holding back what may be its start.

import Foundation

/// Cuts an answer at a stop text.
package struct StopScanner {
    private let stops: [String]
    private var held = ""
    /// Whether a stop text was found; nothing comes after it.
    package private(set) var isStopped = false

    package init(_ stops: [String]) {
        self.stops = stops.filter { !$0.isEmpty }
    }

    /// What may be shown after this piece.
    package mutating func append(_ piece: String) -> String {
        guard !isStopped else { return "" }
        held += piece
        let found = stops.compactMap { held.range(of: $0)?.lowerBound }.min()
        if let found {
            isStopped = true
            defer { held = "" }
            return String(held[..<found])
        }
        // The longest end of `held` that begins a stop text stays.
        let keep = stops.map { Self.overlap(held, $0) }.max() ?? 0
        let cut = held.index(held.endIndex, offsetBy: -keep)
        defer { held = String(held[cut...]) }
        return String(held[..<cut])
    }

    /// What was held back, at the end of the answer.
    package mutating func finish() -> String {
        defer { held = "" }
        return held
    }

    private static func overlap(_ text: String, _ stop: String) -> Int {
        stride(from: min(text.count, stop.count - 1), to: 0, by: -1)
            .first { text.hasSuffix(stop.prefix($0)) } ?? 0
    }
}

// Clocks and figures of the benchmark.

import Foundation

func seconds<R>(_ work: () async throws -> R) async rethrows -> (Double, R) {
    let start = ContinuousClock.now
    let result = try await work()
    return (start.duration(to: .now) / .seconds(1), result)
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

func text(_ value: Double, _ places: Int = 2) -> String { String(format: "%.\(places)f", value) }

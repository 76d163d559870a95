// Clocks and figures of the benchmark.

import Foundation

func seconds<R>(_ work: () async throws -> R) async rethrows -> (Double, R) {
    let start = ContinuousClock.now
    let result = try await work()
    return (start.duration(to: .now) / .seconds(1), result)
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

func text(_ value: Double, _ places: Int = 2) -> String { String(format: "%.\(places)f", value) }

/// Seconds of processor time that this process has used; what else the machine does is not in them.
func processorSeconds() -> Double {
    var usage = rusage()
    #if canImport(Glibc)
        getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
    #else
        getrusage(RUSAGE_SELF, &usage)
    #endif
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

// What a benchmark asks the system about its own process.

import Foundation

/// Seconds of processor time that this process has used; what else the machine does is not in them.
public func processorSeconds() -> Double {
    var usage = rusage()
    #if canImport(Glibc)
        getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
    #else
        getrusage(RUSAGE_SELF, &usage)
    #endif
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

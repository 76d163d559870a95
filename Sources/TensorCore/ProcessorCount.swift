// How many cores this process may use: those that the system lets it run on, or less where a control
// group limits its share of processor time.

import Foundation

/// Finds the number of cores given to this process.
package enum ProcessorCount {
    /// The cores, found once.
    static let available: Int = {
        let cores = max(1, ProcessInfo.processInfo.activeProcessorCount)
        guard let quota = groupQuota() else { return cores }
        return max(1, min(cores, Int(quota.rounded(.up))))
    }()

    /// The smallest quota of the process's group and the groups above it, in cores; nil without one.
    private static func groupQuota() -> Double? {
        func read(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
        let root = "/sys/fs/cgroup"
        var path =
            (read("/proc/self/cgroup") ?? "").split(separator: "\n")
            .first { $0.hasPrefix("0::") }.map { String($0.dropFirst(3)) } ?? "/"
        var quotas: [Double] = []
        while true {
            if let text = read(root + path + "/cpu.max"), let quota = quota(text) {
                quotas.append(quota)
            }
            guard let slash = path.lastIndex(of: "/"), path != "/" else { break }
            path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
        if let limit = read(root + "/cpu/cpu.cfs_quota_us"),
            let period = read(root + "/cpu/cpu.cfs_period_us"),
            let quota = quota(limit + " " + period)
        {
            quotas.append(quota)
        }
        return quotas.min()
    }

    /// Cores from "quota period" in microseconds; nil for "max", -1 or anything else.
    package static func quota(_ text: String) -> Double? {
        let parts = text.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
        guard parts.count == 2, parts[0] > 0, parts[1] > 0 else { return nil }
        return parts[0] / parts[1]
    }
}

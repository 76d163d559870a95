// The memory that this process holds now.

import Foundation

extension ProcessMemory {
    /// Resident size of the process in bytes, or nil where the system does not say.
    public static var resident: Int? {
        #if os(Linux)
            // The second field of statm counts resident pages.
            guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
                let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
            else { return nil }
            return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
        #else
            nil
        #endif
    }
}

// What this machine can do at best: how fast its memory is read and how fast its cores multiply. Each
// limit is the best of several tries, first start to last end of all threads.

import Kernels

/// Measures limits of the machine.
public enum MachineLimits {
    /// Bytes a second that all threads together read from memory, in order.
    public static func readBandwidth(bytes: Int = 1 << 29, tries: Int = 6) -> Double {
        let threads = Parallel.threadCount
        let part = bytes / threads / 4096 * 4096
        let block = TensorStorage(count: part * threads) {
            $0.initializeMemory(as: UInt8.self, repeating: 1)
        }
        guard let base = block.baseAddress else { return 0 }
        let start = SharedReadPointer(base.assumingMemoryBound(to: UInt8.self))
        return best(tries) {
            Parallel.forEach(threads) { _ = sa_read_all(start.base + $0 * part, part) }
            return part * threads
        }
    }

    /// Operations a second of fp32 multiply-adds, two each, on all threads.
    public static func fp32Peak(tries: Int = 6) -> Double {
        best(tries) { spread { sa_multiply_fp32($0) } }
    }

    /// Operations a second of the products that int4 weights use.
    public static func int4Peak(tries: Int = 6) -> Double {
        best(tries) { spread { sa_multiply_int4($0) } }
    }

    /// Operations a second of the products that int8 weights use.
    public static func int8Peak(tries: Int = 6) -> Double {
        best(tries) { spread { sa_multiply_int8($0) } }
    }

    /// Seconds to hand a loop over to all threads and back, the median of many.
    public static func handOver() -> Double {
        let clock = ContinuousClock()
        let threads = Parallel.threadCount
        let times = (0..<2000).map { _ in
            clock.measure { Parallel.forEach(threads) { _ in } }.seconds
        }
        return times.sorted()[times.count / 2]
    }

    private static func spread(_ work: @Sendable (Int) -> Int) -> Int {
        let (threads, rounds) = (Parallel.threadCount, 400_000)
        Parallel.forEach(threads) { _ in _ = work(rounds) }
        return work(1) * rounds * threads
    }

    private static func best(_ tries: Int, _ work: () -> Int) -> Double {
        let clock = ContinuousClock()
        return (0..<tries).reduce(0) { best, _ in
            var count = 0
            let time = clock.measure { count = work() }
            return max(best, Double(count) / time.seconds)
        }
    }
}

extension Duration {
    /// The duration in seconds.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

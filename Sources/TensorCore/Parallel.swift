// Work split over the processor's cores. Callers split so that every output is computed by one
// task in an order that does not depend on the split: results never depend on the thread count.

import Dispatch
import Kernels
import Synchronization

/// Runs loops on several threads.
public enum Parallel {
    private static let chosenCount = Atomic<Int>(0)

    /// Number of threads a loop runs on; the cores given to the process unless set.
    public static var threadCount: Int {
        let chosen = chosenCount.load(ordering: .relaxed)
        return chosen > 0 ? chosen : ProcessorCount.available
    }

    /// The instruction set that the kernels use on this processor.
    public static var kernelName: String {
        let names = ["portable", "AVX2", "AVX-512"]
        let level = Int(sa_level())
        return names.indices.contains(level) ? names[level] : "level \(level)"
    }

    /// Sets the thread count of the process; zero or less restores the default.
    public static func setThreadCount(_ count: Int) {
        chosenCount.store(max(0, count), ordering: .relaxed)
    }

    /// Calls `body` once for each index below `count`, on at most `threadCount` threads.
    public static func forEach(_ count: Int, _ body: @Sendable (Int) -> Void) {
        let threads = min(threadCount, count)
        if threads <= 1 {
            for index in 0..<max(0, count) {
                body(index)
            }
            return
        }
        if WorkerPool.shared.run(count, threads: threads, body) { return }
        // Another loop has the pool, or this one is inside another. Two cores have nothing to spare.
        guard threads > 2 else {
            for index in 0..<count {
                body(index)
            }
            return
        }
        let next = Atomic<Int>(0)
        let level = sa_level()
        DispatchQueue.concurrentPerform(iterations: threads) { _ in
            // The instruction set is a thread's own; these threads are anybody's.
            let own = sa_level()
            sa_set_level(level)
            defer { sa_set_level(own) }
            while true {
                let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                if index >= count {
                    return
                }
                body(index)
            }
        }
    }

    /// The results of `body` for each index below `count`, computed on at most `threadCount` threads.
    public static func map<Result: Sendable>(
        _ count: Int, _ body: @Sendable (Int) -> Result
    ) -> [Result] {
        let results = Mutex<[Result?]>(Array(repeating: nil, count: count))
        forEach(count) { index in
            let result = body(index)
            results.withLock { $0[index] = result }
        }
        return results.withLock { $0.compactMap(\.self) }
    }

    /// Splits `count` items into ranges whose bounds are multiples of `grain`, at most
    /// `partsPerThread` for each thread, and calls `body` once for each range.
    ///
    /// More parts than threads even out threads that are held up.
    public static func forEachRange(
        _ count: Int, grain: Int = 1, partsPerThread: Int = 1,
        _ body: @Sendable (Range<Int>) -> Void
    ) {
        let grains = (count + grain - 1) / grain
        let threads = threadCount
        let parts = threads == 1 ? 1 : min(threads * partsPerThread, grains)
        guard parts > 1 else {
            if count > 0 {
                body(0..<count)
            }
            return
        }
        forEach(parts) { part in
            let first = grains * part / parts * grain
            let last = min(grains * (part + 1) / parts * grain, count)
            if first < last {
                body(first..<last)
            }
        }
    }
}

/// A pointer that parallel loops write through; the loop's author keeps the parts disjoint.
package struct SharedPointer<Element>: @unchecked Sendable {
    // Sendable because every task of a loop touches its own range of elements only.
    package let base: UnsafeMutablePointer<Element>

    package init(_ base: UnsafeMutablePointer<Element>) {
        self.base = base
    }
}

/// A pointer that parallel loops only read through.
package struct SharedReadPointer<Element>: @unchecked Sendable {
    // Sendable because nobody writes through it while the loop runs.
    package let base: UnsafePointer<Element>

    package init(_ base: UnsafePointer<Element>) {
        self.base = base
    }
}

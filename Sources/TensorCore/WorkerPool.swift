// The threads behind `Parallel`. They wait for work by looking, for some microseconds, and then sleep:
// while one loop follows the other, a loop starts on all cores without a call into the system.

import Foundation
import Kernels
import Synchronization

/// Runs one loop at a time on the caller's thread and on threads of its own.
final class WorkerPool: @unchecked Sendable {
    // Sendable because the loop's description is written by the one caller that owns the pool before
    // it opens the loop, and read only by threads that joined the open loop.

    static let shared = WorkerPool()

    /// The loop's state in one word.
    ///
    /// Bit 0: the loop is open. Bits 1-20: threads that joined. Bits 21-40: threads that left. Above:
    /// the loop's number.
    private let state = Atomic<UInt64>(0)
    private static let joined: UInt64 = 1 << 1
    private static let left: UInt64 = 1 << 21
    private static let number: UInt64 = 1 << 41
    private static let mask: UInt64 = 1 << 20 - 1

    private let next = Atomic<Int>(0)
    private let isOwned = Atomic<Bool>(false)
    private let sleeping = Atomic<Int>(0)
    private let condition = NSCondition()
    private var workers = 0
    private var count = 0
    private var limit: UInt64 = 0
    private var level: Int32 = 0
    private var body: ((Int) -> Void)?

    /// How long a thread looks for work before it sleeps.
    private static let patience: UInt64 = 60_000  // nanoseconds

    private init() {}

    /// Calls `body` for each index below `count` on at most `threads` threads.
    ///
    /// False, with nothing done, when another loop has the pool.
    func run(_ count: Int, threads: Int, _ body: (Int) -> Void) -> Bool {
        guard !isOwned.exchange(true, ordering: .acquiring) else { return false }
        defer { isOwned.store(false, ordering: .releasing) }
        withoutActuallyEscaping(body) { body in
            while workers < threads - 1 {
                workers += 1
                start()
            }
            self.body = body
            self.count = count
            limit = UInt64(threads - 1)
            level = sa_level()
            next.store(0, ordering: .relaxed)
            let loop = (state.load(ordering: .relaxed) / Self.number &+ 1) &* Self.number
            state.store(loop | 1, ordering: .sequentiallyConsistent)
            if sleeping.load(ordering: .sequentiallyConsistent) > 0 {
                condition.lock()
                condition.broadcast()
                condition.unlock()
            }
            work(body, count)
            close()
            self.body = nil
        }
        return true
    }

    private func work(_ body: (Int) -> Void, _ count: Int) {
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard index < count else { return }
            body(index)
        }
    }

    /// Lets nobody join any more and waits for those who did.
    private func close() {
        var current = state.bitwiseAnd(~1, ordering: .acquiringAndReleasing).newValue
        var looks = 0
        while current / Self.joined & Self.mask != current / Self.left & Self.mask {
            looks += 1
            if looks < 4000 {
                sa_pause()
            } else {
                sched_yield()
            }
            current = state.load(ordering: .acquiring)
        }
    }

    private func start() {
        let thread = Thread { [self] in
            var last: UInt64 = 0
            while true {
                last = join(after: last)
                sa_set_level(level)
                if let body { work(body, count) }
                state.wrappingAdd(Self.left, ordering: .releasing)
            }
        }
        thread.name = "stepaudio.worker"
        thread.stackSize = 8 << 20
        thread.qualityOfService = .userInitiated
        thread.start()
    }

    /// Waits for a loop other than number `last` and joins it; gives its number.
    private func join(after last: UInt64) -> UInt64 {
        var deadline: UInt64 = 0
        var looks = 0
        while true {
            if let loop = tryToJoin(after: last) { return loop }
            sa_pause()
            looks += 1
            guard looks % 64 == 0 else { continue }
            let now = DispatchTime.now().uptimeNanoseconds
            if deadline == 0 {
                deadline = now + Self.patience
            } else if now > deadline {
                sleep(after: last)
                deadline = 0
            }
        }
    }

    private func tryToJoin(after last: UInt64) -> UInt64? {
        var current = state.load(ordering: .acquiring)
        while current & 1 == 1, current / Self.number != last {
            guard current / Self.joined & Self.mask < limit else { return nil }
            let (isExchanged, original) = state.weakCompareExchange(
                expected: current, desired: current &+ Self.joined,
                ordering: .acquiringAndReleasing)
            if isExchanged { return current / Self.number }
            current = original
        }
        return nil
    }

    private func sleep(after last: UInt64) {
        condition.lock()
        sleeping.wrappingAdd(1, ordering: .sequentiallyConsistent)
        while true {
            let current = state.load(ordering: .sequentiallyConsistent)
            if current & 1 == 1, current / Self.number != last { break }
            condition.wait()
        }
        sleeping.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        condition.unlock()
    }
}

// Threads of the project's own for long computations, so that these never hold the threads that Swift
// shares among all tasks. Work that somebody waits to hear first goes before everything else.

import Foundation
import Synchronization

/// A pool of threads that runs tasks; one thread is kept for urgent work alone.
///
/// `urgent` and `normal` are two doors to the same pool. Work that runs on it may use `Parallel`
/// inside.
public final class ComputeThreads: Sendable {
    /// The pool of the process.
    public static let shared = ComputeThreads(
        count: max(2, ProcessInfo.processInfo.activeProcessorCount))

    /// Work that should not wait behind long requests: the first piece of somebody's speech.
    public let urgent: any TaskExecutor
    /// Everything else.
    public let normal: any TaskExecutor

    private final class Door: TaskExecutor {
        let queue: Queue
        let isUrgent: Bool

        init(_ queue: Queue, isUrgent: Bool) {
            self.queue = queue
            self.isUrgent = isUrgent
        }

        func enqueue(_ job: consuming ExecutorJob) {
            queue.add(UnownedJob(job), door: self)
        }
    }

    /// Jobs that wait, in order of arrival; shared by the threads.
    private final class Queue: @unchecked Sendable {
        // Sendable because everything is touched under the condition's lock only.
        private let condition = NSCondition()
        private var urgent: [(UnownedJob, Door)] = []
        private var normal: [(UnownedJob, Door)] = []

        func add(_ job: UnownedJob, door: Door) {
            condition.lock()
            if door.isUrgent {
                urgent.append((job, door))
            } else {
                normal.append((job, door))
            }
            // The thread that is kept free may be the one that wakes; so all of them look.
            condition.broadcast()
            condition.unlock()
        }

        func next(urgentOnly: Bool) -> (UnownedJob, Door) {
            condition.lock()
            defer { condition.unlock() }
            while true {
                if !urgent.isEmpty { return urgent.removeFirst() }
                if !urgentOnly, !normal.isEmpty { return normal.removeFirst() }
                condition.wait()
            }
        }
    }

    /// Starts `count` threads and one more for urgent work; they last as long as the process.
    private init(count: Int) {
        let queue = Queue()
        urgent = Door(queue, isUrgent: true)
        normal = Door(queue, isUrgent: false)
        for index in 0...count {
            let thread = Thread {
                while true {
                    let (job, door) = queue.next(urgentOnly: index == count)
                    job.runSynchronously(on: door.asUnownedTaskExecutor())
                }
            }
            thread.name = "stepaudio.compute"
            thread.stackSize = 8 << 20
            thread.qualityOfService = .userInitiated
            thread.start()
        }
    }

    private static let urgentCount = Atomic<Int>(0)

    /// Whether urgent work runs now; what can wait leaves it the processor.
    public static var hasUrgentWork: Bool { urgentCount.load(ordering: .relaxed) > 0 }

    /// Runs a computation on the pool and waits for it without holding a shared thread.
    ///
    /// The computation belongs to the calling task: it sees its cancellation.
    public static func run<R: Sendable>(
        urgent: Bool = false, _ work: @Sendable () throws -> R
    ) async throws -> R {
        try Task.checkCancellation()
        return try await withTaskExecutorPreference(urgent ? shared.urgent : shared.normal) {
            guard urgent else { return try work() }
            urgentCount.add(1, ordering: .relaxed)
            defer { urgentCount.subtract(1, ordering: .relaxed) }
            return try work()
        }
    }
}

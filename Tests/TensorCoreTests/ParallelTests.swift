// Loops on several threads: every index once, whatever runs beside them.

import Dispatch
import Synchronization
import Testing

import TensorCore

@Suite(.serialized) struct ParallelTests {
    @Test func everyIndexRunsOnce() {
        defer { Parallel.setThreadCount(0) }
        for threads in [1, 2, 3, 8] {
            Parallel.setThreadCount(threads)
            for count in [0, 1, 2, 7, 100] {
                let sums = (0..<count).map { _ in Counter() }
                for _ in 0..<50 {
                    Parallel.forEach(count) { sums[$0].add(1) }
                }
                #expect(sums.allSatisfy { $0.value == 50 }, "\(threads) threads, \(count)")
            }
        }
    }

    @Test func rangesCoverEverythingInWholeGrains() {
        defer { Parallel.setThreadCount(0) }
        Parallel.setThreadCount(3)
        let seen = Mutex<[Range<Int>]>([])
        Parallel.forEachRange(103, grain: 8, partsPerThread: 4) { range in
            seen.withLock { $0.append(range) }
        }
        let ranges = seen.withLock { $0.sorted { $0.lowerBound < $1.lowerBound } }
        #expect(ranges.first?.lowerBound == 0 && ranges.last?.upperBound == 103)
        #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
        #expect(ranges.allSatisfy { $0.lowerBound.isMultiple(of: 8) })
        #expect(ranges.count > 3)
    }

    @Test func loopsInsideLoopsAndBesideEachOtherFinish() {
        defer { Parallel.setThreadCount(0) }
        Parallel.setThreadCount(3)
        let total = Counter()
        DispatchQueue.concurrentPerform(iterations: 4) { _ in
            for _ in 0..<200 {
                Parallel.forEach(5) { _ in
                    Parallel.forEach(3) { _ in total.add(1) }
                }
            }
        }
        #expect(total.value == 4 * 200 * 15)
    }

    @Test func quotasOfControlGroupsAreCores() {
        #expect(ProcessorCount.quota("200000 100000\n") == 2)
        #expect(ProcessorCount.quota("50000 100000") == 0.5)
        #expect(ProcessorCount.quota("max 100000") == nil)
        #expect(ProcessorCount.quota("-1 100000") == nil)
        #expect(ProcessorCount.quota("") == nil)
    }

    private final class Counter: Sendable {
        private let count = Atomic<Int>(0)
        func add(_ n: Int) { count.wrappingAdd(n, ordering: .relaxed) }
        var value: Int { count.load(ordering: .relaxed) }
    }
}

// Counts the multiply-adds of matrix products, for benchmarks that relate time to work.

import Synchronization

/// The multiply-adds since the count was last taken; one relaxed addition a product.
package enum WorkCounter {
    private static let count = Atomic<Int>(0)

    static func add(_ multiplyAdds: Int) { count.wrappingAdd(multiplyAdds, ordering: .relaxed) }

    /// The count so far, which starts again at zero.
    package static func take() -> Int { count.exchange(0, ordering: .relaxed) }
}

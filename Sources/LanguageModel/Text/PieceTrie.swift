// A byte trie over the vocabulary's pieces, as flat arrays: finding all pieces that start at a
// position costs one binary search a byte.

/// Maps byte strings to piece ids.
struct PieceTrie: Sendable {
    private var firstChild: [Int32] = []  // per node, into labels and children; one past at the end
    private var labels: [UInt8] = []
    private var children: [Int32] = []
    private var pieceIDs: [Int32] = []  // per node, -1 for none

    init(_ pieces: [(bytes: [UInt8], id: Int)]) {
        let sorted = pieces.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        // Breadth first: every node is a range of sorted pieces that share `depth` bytes.
        var level: [(range: Range<Int>, depth: Int)] = [(0..<sorted.count, 0)]
        var nodeCount = 1
        while !level.isEmpty {
            var next: [(range: Range<Int>, depth: Int)] = []
            for (range, depth) in level {
                firstChild.append(Int32(labels.count))
                var index = range.lowerBound
                var id: Int32 = -1
                while index < range.upperBound, sorted[index].bytes.count == depth {
                    if id < 0 { id = Int32(sorted[index].id) }
                    index += 1
                }
                pieceIDs.append(id)
                while index < range.upperBound {
                    let label = sorted[index].bytes[depth]
                    var end = index
                    while end < range.upperBound, sorted[end].bytes[depth] == label {
                        end += 1
                    }
                    labels.append(label)
                    children.append(Int32(nodeCount))
                    nodeCount += 1
                    next.append((index..<end, depth + 1))
                    index = end
                }
            }
            level = next
        }
        firstChild.append(Int32(labels.count))
    }

    /// Calls `body` with the id and end of every piece that starts at `start`, shortest first.
    func forEachPrefix(
        of bytes: UnsafeBufferPointer<UInt8>, from start: Int, _ body: (Int, Int) -> Void
    ) {
        var node = 0
        var position = start
        while position < bytes.count {
            var low = Int(firstChild[node])
            var high = Int(firstChild[node + 1])
            let label = bytes[position]
            while low < high {
                let middle = (low + high) / 2
                if labels[middle] < label {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            guard low < Int(firstChild[node + 1]), labels[low] == label else { return }
            node = Int(children[low])
            position += 1
            if pieceIDs[node] >= 0 {
                body(Int(pieceIDs[node]), position)
            }
        }
    }
}

// What was computed before, by its ids: a tree whose nodes are pages. A new prompt takes over the pages of
// its longest known prefix. A token's keys and values have the same bits whether it was part of a prompt
// or generated, so that a prompt gives the same whether it is found here or computed.

import LanguageModelInterface

/// Finds and keeps shared prefixes; used by one thread.
final class PrefixIndex {
    private final class Node {
        let ids: [Int]  // the page's tokens; fewer than a page holds only in leaves
        let page: KeyValuePage
        weak var parent: Node?
        var children: [Node] = []
        var lastUse: Int

        init(ids: [Int], page: KeyValuePage, parent: Node?, lastUse: Int) {
            self.ids = ids
            self.page = page
            self.parent = parent
            self.lastUse = lastUse
        }
    }

    private var roots: [Node] = []
    private var clock = 0
    /// Pages in the index.
    private(set) var count = 0
    /// Pages that may be in the index.
    let limit: Int
    private(set) var hits = 0
    private(set) var misses = 0
    private(set) var evictions = 0

    init(limit: Int) {
        self.limit = limit
    }

    /// A known prefix: whole pages, and the first tokens of a further one.
    struct Match {
        var whole: [KeyValuePage] = []
        var tail: (page: KeyValuePage, tokens: Int)?

        /// Tokens of the prefix.
        var tokens: Int { whole.count * PageShape.tokens + (tail?.tokens ?? 0) }
    }

    /// The longest known prefix of `ids` of at most `limit` tokens; `counts` says whether the look-up
    /// is one of a request.
    func match(_ ids: [Int], limit: Int, counts: Bool = true) -> Match {
        clock += 1
        var result = Match()
        var level = roots
        var position = 0
        while position < limit {
            var best: (node: Node, tokens: Int)?
            for node in level {
                let tokens = Self.common(node.ids, ids, from: position, limit: limit)
                if tokens > best?.tokens ?? 0 { best = (node, tokens) }
                if tokens == PageShape.tokens { break }
            }
            guard let best else { break }
            best.node.lastUse = clock
            guard best.tokens == PageShape.tokens else {
                result.tail = (best.node.page, best.tokens)
                break
            }
            result.whole.append(best.node.page)
            position += PageShape.tokens
            level = best.node.children
        }
        if counts {
            if result.tokens > 0 { hits += 1 } else { misses += 1 }
        }
        return result
    }

    /// Keeps the pages of the first tokens of `ids`.
    ///
    /// `isWhole` says that `ids` ends here, so that its last page is kept though it is not full.
    func insert(_ ids: ArraySlice<Int>, pages: [KeyValuePage], isWhole: Bool) {
        clock += 1
        var parent: Node?
        var position = 0
        for page in pages {
            let part = Array(ids[position..<min(position + PageShape.tokens, ids.count)])
            guard part.count == PageShape.tokens || (isWhole && !part.isEmpty) else { return }
            let level = parent?.children ?? roots
            if let known = level.first(where: { $0.ids.starts(with: part) }) {
                known.lastUse = clock
                parent = known
            } else {
                guard count < limit || evict() else { return }
                let node = Node(ids: part, page: page, parent: parent, lastUse: clock)
                if let parent {
                    parent.children.append(node)
                } else {
                    roots.append(node)
                }
                count += 1
                parent = node
            }
            position += part.count
            if part.count < PageShape.tokens { return }
        }
    }

    /// Forgets the page that was not used for longest; false when there is none.
    func evict() -> Bool {
        var oldest: Node?
        func visit(_ node: Node) {
            if node.children.isEmpty, node.lastUse < oldest?.lastUse ?? clock {
                oldest = node
            }
            node.children.forEach(visit)
        }
        roots.forEach(visit)
        guard let oldest else { return false }
        if let parent = oldest.parent {
            parent.children.removeAll { $0 === oldest }
        } else {
            roots.removeAll { $0 === oldest }
        }
        count -= 1
        evictions += 1
        return true
    }

    private static func common(_ page: [Int], _ ids: [Int], from start: Int, limit: Int) -> Int {
        let longest = min(page.count, min(ids.count, limit) - start)
        var count = 0
        while count < longest, page[count] == ids[start + count] {
            count += 1
        }
        return count
    }
}

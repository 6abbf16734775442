/// Two neighbouring symbols that make up a piece of the vocabulary.
struct Merge {
    /// The piece's place in the order of merging.
    let rank: Int32
    /// The piece's size in bytes, which tells whether the two symbols are still what they were.
    let byteCount: Int
    /// The indices of the symbols.
    let left: Int
    let right: Int

    /// Whether this merge comes before another: the lower rank first, then what stands further left.
    @inline(__always)
    func precedes(_ other: Merge) -> Bool {
        rank != other.rank ? rank < other.rank : left < other.left
    }
}

/// A binary heap of merges.
struct MergeQueue {
    private var heap: [Merge] = []

    /// Adds a merge.
    mutating func push(_ merge: Merge) {
        var hole = heap.count
        heap.append(merge)
        heap.withUnsafeMutableBufferPointer { heap in
            while hole > 0, merge.precedes(heap[(hole - 1) / 2]) {
                heap[hole] = heap[(hole - 1) / 2]
                hole = (hole - 1) / 2
            }
            heap[hole] = merge
        }
    }

    /// Takes out the merge that precedes all others, or returns nil if there is none.
    mutating func pop() -> Merge? {
        guard let last = heap.popLast() else { return nil }
        guard let first = heap.first else { return last }
        heap.withUnsafeMutableBufferPointer { heap in
            var hole = 0
            while true {
                var child = 2 * hole + 1
                guard child < heap.count else { break }
                if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
                guard heap[child].precedes(last) else { break }
                heap[hole] = heap[child]
                hole = child
            }
            heap[hole] = last
        }
        return first
    }
}

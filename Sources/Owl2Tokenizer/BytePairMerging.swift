/// Byte-pair encoding as SentencePiece does it, over one stretch of text whose spaces are already `▁`.
///
/// Characters and user-defined pieces are the first symbols. Of all neighbours that together are a piece, those with
/// the best score are joined, the leftmost first, until no neighbours are a piece. With a queue of candidates and a
/// linked list of symbols the time is n log n whatever the text.
///
/// Kudo and Richardson, "SentencePiece" (arXiv 1808.06226); Sennrich et al. (arXiv 1508.07909).
struct BytePairMerging {
    /// A run of the text, in a list that is linked both ways; -1 is no symbol.
    private struct Symbol {
        let start: Int
        /// Zero for a symbol that was merged into the one on its left.
        var byteCount: Int
        var previous: Int
        var next: Int
        let isUserDefined: Bool
    }

    private let vocabulary: Vocabulary
    private let text: UnsafeBufferPointer<UInt8>
    private var symbols: [Symbol] = []
    private var queue = MergeQueue()
    /// How the unused pieces that were met last came about: the byte count of the left part, by token id.
    private var splits: [Int: Int] = [:]

    private init(_ vocabulary: Vocabulary, _ text: UnsafeBufferPointer<UInt8>) {
        self.vocabulary = vocabulary
        self.text = text
    }

    /// The token ids of a text.
    ///
    /// - Parameters:
    ///   - text: Valid UTF-8.
    ///   - vocabulary: The pieces.
    static func encode(_ text: [UInt8], with vocabulary: Vocabulary) -> [Int] {
        text.withUnsafeBufferPointer { text in
            var merging = BytePairMerging(vocabulary, text)
            merging.splitIntoSymbols()
            merging.mergeAll()
            return merging.tokenIDs()
        }
    }

    private mutating func splitIntoSymbols() {
        symbols.reserveCapacity(text.count)
        var start = 0
        while start < text.count {
            let userDefined = vocabulary.userDefinedPrefix(of: slice(start, text.count - start))
            let byteCount = userDefined ?? min(UTF8Character.byteCount(lead: text[start]), text.count - start)
            symbols.append(
                Symbol(
                    start: start, byteCount: byteCount, previous: symbols.count - 1, next: symbols.count + 1,
                    isUserDefined: userDefined != nil))
            start += byteCount
        }
        if !symbols.isEmpty { symbols[symbols.count - 1].next = -1 }
    }

    private mutating func mergeAll() {
        for index in symbols.indices.dropFirst() { propose(index - 1, index) }
        while let merge = queue.pop() {
            let (left, right) = (symbols[merge.left], symbols[merge.right])
            guard left.byteCount > 0, right.byteCount > 0, left.byteCount + right.byteCount == merge.byteCount else {
                continue
            }
            symbols[merge.left].byteCount = merge.byteCount
            symbols[merge.left].next = right.next
            symbols[merge.right].byteCount = 0
            if right.next >= 0 { symbols[right.next].previous = merge.left }
            propose(left.previous, merge.left)
            propose(merge.left, right.next)
        }
    }

    /// Queues two neighbours if together they are a piece.
    private mutating func propose(_ left: Int, _ right: Int) {
        guard left >= 0, right >= 0, !symbols[left].isUserDefined, !symbols[right].isUserDefined else { return }
        let byteCount = symbols[left].byteCount + symbols[right].byteCount
        guard let id = vocabulary.id(of: slice(symbols[left].start, byteCount)), vocabulary.kinds[id].isFoundInText
        else {
            return
        }
        queue.push(Merge(rank: vocabulary.mergeRanks[id], byteCount: byteCount, left: left, right: right))
        if vocabulary.kinds[id] == .unused { splits[id] = symbols[left].byteCount }
    }

    private func tokenIDs() -> [Int] {
        var ids: [Int] = []
        var isBehindUnknown = false
        var index = symbols.isEmpty ? -1 : 0
        while index >= 0 {
            append(slice(symbols[index].start, symbols[index].byteCount), to: &ids, &isBehindUnknown)
            index = symbols[index].next
        }
        return ids
    }

    /// Appends the ids of a symbol: its piece, the parts of an unused one, the bytes of an unknown character, or one
    /// unknown token for a whole run of unknown characters.
    private func append(_ symbol: UnsafeBufferPointer<UInt8>, to ids: inout [Int], _ isBehindUnknown: inout Bool) {
        var parts = [symbol]
        while let part = parts.popLast() {
            if let id = vocabulary.id(of: part), vocabulary.kinds[id].isFoundInText {
                if vocabulary.kinds[id] != .unused {
                    ids.append(id)
                    isBehindUnknown = false
                    continue
                }
                if let leftCount = splits[id] {
                    parts.append(.init(rebasing: part[leftCount...]))
                    parts.append(.init(rebasing: part[..<leftCount]))
                    continue
                }
            }
            if let byteIDs = vocabulary.byteIDs {
                ids += part.lazy.map { byteIDs[Int($0)] }
            } else if !isBehindUnknown {
                ids.append(vocabulary.unknownID)
                isBehindUnknown = true
            }
        }
    }

    @inline(__always)
    private func slice(_ start: Int, _ byteCount: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(rebasing: text[start..<start + byteCount])
    }
}

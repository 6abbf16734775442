import COwl2Kernels

/// Query rows that stand together and see keys of the same sequence.
package struct AttentionGroup {
    /// The rows of the query matrix.
    package let rows: Range<Int>
    /// The keys and values.
    package let pages: KeyValuePages
    /// How many keys the first row sees; each further row sees `keysPerRow` more.
    package let visibleKeys: Int
    /// 1 under a causal mask, 0 without a mask.
    package let keysPerRow: Int

    package init(rows: Range<Int>, pages: KeyValuePages, visibleKeys: Int, keysPerRow: Int) {
        self.rows = rows
        self.pages = pages
        self.visibleKeys = visibleKeys
        self.keysPerRow = keysPerRow
    }
}

extension Compute {
    /// Query rows that meet a head's keys and values in one task. Neighbouring tasks have the same head, so that they find
    /// those keys and values in the cache.
    private static let queryTile = 72

    /// Attention: for every query row and head `softmax(q K^T / sqrt(d)) V` over the keys that the row sees.
    ///
    /// Scores exist for a tile of query rows and one head at a time. Query head `h` uses key head
    /// `h / (heads / key heads)`.
    ///
    /// - Parameters:
    ///   - queries: `[rows, heads * d]`.
    ///   - headCount: Query heads, a multiple of the pages' heads.
    ///   - groups: Which rows see which keys.
    /// - Returns: `[rows, heads * d]`.
    package func attention(_ queries: Matrix, headCount: Int, groups: [AttentionGroup]) -> Matrix {
        let dimension = groups.first?.pages.headDimension ?? 0
        let output = Matrix(uninitializedRows: queries.rowCount, columns: headCount * dimension)
        var tiles: [AttentionGroup] = []
        for group in groups {
            for start in stride(from: group.rows.lowerBound, to: group.rows.upperBound, by: Self.queryTile) {
                let skipped = start - group.rows.lowerBound
                tiles.append(
                    AttentionGroup(
                        rows: start..<min(start + Self.queryTile, group.rows.upperBound), pages: group.pages,
                        visibleKeys: group.visibleKeys + skipped * group.keysPerRow, keysPerRow: group.keysPerRow))
            }
        }
        pool.forEach(tiles.count * headCount) { task in
            let tile = tiles[task % tiles.count]
            attend(
                tile, head: task / tiles.count, headsPerKeyHead: headCount / tile.pages.headCount, queries: queries,
                output: output)
        }
        return output
    }

    private func attend(_ tile: AttentionGroup, head: Int, headsPerKeyHead: Int, queries: Matrix, output: Matrix) {
        let work = HeadAttention(tile: tile, keyHead: head / headsPerKeyHead)
        let first = tile.rows.lowerBound, column = head * tile.pages.headDimension
        let query = HeadRows(first: queries.row(first) + column, stride: queries.columnCount)
        let result = HeadRows(first: output.row(first) + column, stride: output.columnCount)
        WorkingMemory.withFloats(count: work.floatCount) { memory in
            switch tile.pages.storage {
            case .int16: work.computeInIntegers(query, result, memory: memory, kernels)
            case .f32, .f16, .q8_0: work.compute(query, result, memory: memory, kernels)
            }
        }
    }
}

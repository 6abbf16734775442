import COwl2Kernels

extension Compute {
    /// Attention of pictures' query rows, each to the keys and values of its own picture, without a mask: for every row and
    /// head `softmax(q K^T / sqrt(d)) V`.
    ///
    /// With quantised weights, whose activations are rounded far more coarsely, products are rounded too.
    ///
    /// - Parameters:
    ///   - queries: As many rows for every picture; head `h` of a row begins at column `h * headStride`.
    ///   - headCount: The number of heads, of queries as of keys.
    ///   - headDimension: `d`.
    ///   - headStride: Columns from head to head.
    ///   - pictures: Each picture's keys and values.
    ///   - layer: What projected the keys.
    /// - Returns: `[rows, heads * d]`.
    package func attention(
        _ queries: Matrix, headCount: Int, headDimension: Int, headStride: Int, toPictures pictures: [KeyValueRows],
        projectedBy layer: Linear
    ) -> Matrix {
        let isQuantized = layer.weight.elementType.isQuantized
        if let tileAttention {
            return TileAttention(
                kernels: tileAttention, precision: isQuantized ? OWL2_ROUNDED : OWL2_EXACT, headCount: headCount,
                dimension: headDimension
            ).attend(queries, headStride: headStride, to: pictures, pool)
        }
        let isInteger = backend == .own && isQuantized && KeyValuePages.integersFit(headDimension)
        let new = pictures.map { rows in
            NewKeyValues(
                pages: KeyValuePages(
                    headCount: headCount, headDimension: headDimension, storage: isInteger ? .int16 : .f32),
                rows: rows)
        }
        append(new)
        let rowCount = queries.rowCount / max(1, pictures.count)
        let groups = new.enumerated().map { picture, new in
            AttentionGroup(
                rows: picture * rowCount..<(picture + 1) * rowCount, pages: new.pages, visibleKeys: new.rows.count,
                keysPerRow: 0)
        }
        return attention(queries, headCount: headCount, headStride: headStride, groups: groups)
    }
}

/// Attention to pictures by tiles of bfloat16.
private struct TileAttention {
    let kernels: owl2_tile_attention
    let precision: owl2_precision
    let headCount: Int
    let dimension: Int

    /// Query rows of a task: neighbouring tasks have the same head, whose keys and values they find in the cache.
    private static let rowsPerTask = 4 * Int(OWL2_QUERY_ROWS)

    func attend(_ queries: Matrix, headStride: Int, to pictures: [KeyValueRows], _ pool: ThreadPool) -> Matrix {
        let output = Matrix(uninitializedRows: queries.rowCount, columns: headCount * dimension)
        let rowCount = queries.rowCount / max(1, pictures.count)
        for (picture, rows) in pictures.enumerated() {
            attend(
                queries, picture * rowCount..<(picture + 1) * rowCount, headStride: headStride, to: rows, output, pool)
        }
        return output
    }

    /// One picture's heads are prepared, then used.
    private func attend(
        _ queries: Matrix, _ queryRows: Range<Int>, headStride: Int, to rows: KeyValueRows, _ output: Matrix,
        _ pool: ThreadPool
    ) {
        let headByteCount = kernels.prepared_bytes(precision, rows.count, dimension)
        let workingByteCount = kernels.working_bytes(precision, rows.count, dimension)
        let tileCount = (queryRows.count + Self.rowsPerTask - 1) / Self.rowsPerTask
        WorkingMemory.with(byteCount: headCount * headByteCount) { heads in
            guard let heads else { return }
            pool.forEach(headCount) { head in
                let first = head * rows.headStride
                kernels.prepare(
                    precision, rows.keys + first, rows.values + first, rows.rowStride, rows.count, dimension,
                    heads + head * headByteCount)
            }
            pool.forEach(headCount * tileCount) { task in
                let (head, tile) = task.quotientAndRemainder(dividingBy: tileCount)
                let first = queryRows.lowerBound + tile * Self.rowsPerTask
                WorkingMemory.with(byteCount: workingByteCount) { working in
                    kernels.attend(
                        precision, queries.row(first) + head * headStride, queries.columnCount,
                        min(Self.rowsPerTask, queryRows.upperBound - first), heads + head * headByteCount, rows.count,
                        dimension, output.row(first) + head * dimension, output.columnCount, working)
                }
            }
        }
    }
}

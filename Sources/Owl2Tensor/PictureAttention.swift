import COwl2Kernels

/// Attention of pictures' query rows, each to the keys and values of its own picture, without a mask: for every row and
/// head `softmax(q K^T / sqrt(d)) V`.
///
/// Keys and values are stored while they are in a cache: some rows and heads at a time, by whatever computes them. With
/// quantised weights, whose activations are rounded far more coarsely, products are rounded too.
package struct PictureAttention {
    /// Where keys and values are.
    private enum Memory {
        /// Each picture's.
        case pages([KeyValuePages])
        /// All pictures', `[pictures * rows, heads * d]`.
        case matrices(keys: Matrix, values: Matrix, TileAttention)
    }

    private let memory: Memory
    private let compute: Compute
    private let headCount: Int
    private let headDimension: Int
    private let rowsPerPicture: Int

    /// Attention to as many keys and values for every picture.
    ///
    /// - Parameters:
    ///   - headCount: The number of heads, of queries as of keys.
    ///   - headDimension: `d`.
    ///   - pictureCount: The number of pictures.
    ///   - rowsPerPicture: Keys of a picture, all of which are to be stored.
    ///   - layer: What projects the keys.
    package init(
        headCount: Int, headDimension: Int, pictureCount: Int, rowsPerPicture: Int, projectedBy layer: Linear
    ) {
        compute = layer.compute
        self.headCount = headCount
        self.headDimension = headDimension
        self.rowsPerPicture = rowsPerPicture
        let isQuantized = layer.weight.elementType.isQuantized
        if let kernels = compute.tileAttention {
            func matrix() -> Matrix {
                Matrix(uninitializedRows: pictureCount * rowsPerPicture, columns: headCount * headDimension)
            }
            memory = .matrices(
                keys: matrix(), values: matrix(),
                TileAttention(
                    kernels: kernels, precision: isQuantized ? OWL2_ROUNDED : OWL2_EXACT, headCount: headCount,
                    dimension: headDimension))
        } else {
            let isInteger = compute.backend == .own && isQuantized && KeyValuePages.integersFit(headDimension)
            memory = .pages(
                (0..<pictureCount).map { _ in
                    let pages = KeyValuePages(
                        headCount: headCount, headDimension: headDimension, storage: isInteger ? .int16 : .f32)
                    pages.grow(by: rowsPerPicture)
                    return pages
                })
        }
    }

    /// Stores keys, or values, of some rows and heads.
    ///
    /// - Parameters:
    ///   - part: Which of both.
    ///   - x: The first row's and head's.
    ///   - stride: Elements from row to row.
    ///   - headStride: Elements from head to head.
    ///   - rows: Of all pictures' rows.
    ///   - heads: The heads.
    package func store(
        _ part: KeyValuePart, _ x: UnsafePointer<Float>, stride: Int, headStride: Int, rows: Range<Int>,
        heads: Range<Int>
    ) {
        switch memory {
        case .pages(let pictures):
            for picture in rows.lowerBound / rowsPerPicture...(rows.upperBound - 1) / rowsPerPicture {
                let first = picture * rowsPerPicture, some = rows.clamped(to: first..<first + rowsPerPicture)
                compute.store(
                    part, x + (some.lowerBound - rows.lowerBound) * stride, stride: stride, headStride: headStride,
                    rows: some.lowerBound - first..<some.upperBound - first, heads: heads, in: pictures[picture])
            }
        case .matrices(let keys, let values, _):
            let target = part == .keys ? keys : values
            target.takeHeads(x, stride: stride, headStride: headStride, rows: rows, heads: heads, headDimension)
        }
    }

    /// - Parameter queries: `[pictures * queries, heads * d]`.
    /// - Returns: The same shape.
    package func callAsFunction(_ queries: Matrix) -> Matrix {
        switch memory {
        case .pages(let pictures):
            let rowCount = queries.rowCount / max(1, pictures.count)
            let groups = pictures.enumerated().map { picture, pages in
                AttentionGroup(
                    rows: picture * rowCount..<(picture + 1) * rowCount, pages: pages, visibleKeys: pages.count,
                    keysPerRow: 0)
            }
            return compute.attention(queries, headCount: headCount, groups: groups)
        case .matrices(let keys, let values, let tiles):
            return tiles.attend(queries, keys, values, rowsPerPicture: rowsPerPicture, compute.pool)
        }
    }
}

extension Matrix {
    /// Takes some columns of some rows: those of some heads, `headStride` apart in x, which stand side by side here.
    package func takeHeads(
        _ x: UnsafePointer<Float>, stride: Int, headStride: Int, rows: Range<Int>, heads: Range<Int>, _ dimension: Int
    ) {
        for row in rows {
            if row + 8 < rows.upperBound {
                owl2_ask_to_write(self.row(row + 8) + heads.lowerBound * dimension, heads.count * dimension * 4)
            }
            for head in heads {
                let from = (row - rows.lowerBound) * stride + (head - heads.lowerBound) * headStride
                (self.row(row) + head * dimension).update(from: x + from, count: dimension)
            }
        }
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

    func attend(
        _ queries: Matrix, _ keys: Matrix, _ values: Matrix, rowsPerPicture: Int, _ pool: ThreadPool
    ) -> Matrix {
        let output = Matrix(uninitializedRows: queries.rowCount, columns: queries.columnCount)
        let pictureCount = keys.rowCount / max(1, rowsPerPicture), rowCount = queries.rowCount / max(1, pictureCount)
        for picture in 0..<pictureCount {
            attend(
                queries, picture * rowCount..<(picture + 1) * rowCount, keys, values,
                picture * rowsPerPicture..<(picture + 1) * rowsPerPicture, output, pool)
        }
        return output
    }

    /// One picture's heads are prepared, then used.
    private func attend(
        _ queries: Matrix, _ queryRows: Range<Int>, _ keys: Matrix, _ values: Matrix, _ rows: Range<Int>,
        _ output: Matrix, _ pool: ThreadPool
    ) {
        let headByteCount = kernels.prepared_bytes(precision, rows.count, dimension)
        let workingByteCount = kernels.working_bytes(precision, rows.count, dimension)
        let tileCount = (queryRows.count + Self.rowsPerTask - 1) / Self.rowsPerTask
        WorkingMemory.with(byteCount: headCount * headByteCount) { heads in
            guard let heads else { return }
            pool.forEach(headCount) { head in
                let first = rows.lowerBound, column = head * dimension
                kernels.prepare(
                    precision, keys.row(first) + column, values.row(first) + column, keys.columnCount, rows.count,
                    dimension, heads + head * headByteCount)
            }
            pool.forEach(headCount * tileCount) { task in
                let (head, tile) = task.quotientAndRemainder(dividingBy: tileCount)
                let first = queryRows.lowerBound + tile * Self.rowsPerTask
                WorkingMemory.with(byteCount: workingByteCount) { working in
                    kernels.attend(
                        precision, queries.row(first) + head * dimension, queries.columnCount,
                        min(Self.rowsPerTask, queryRows.upperBound - first), heads + head * headByteCount, rows.count,
                        dimension, output.row(first) + head * dimension, output.columnCount, working)
                }
            }
        }
    }
}

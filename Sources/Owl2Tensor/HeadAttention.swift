import COwl2Kernels

/// A head's part of some rows of a matrix.
struct HeadRows {
    /// The first row's.
    let first: UnsafeMutablePointer<Float>
    /// Elements from row to row.
    let stride: Int

    func row(_ index: Int) -> UnsafeMutablePointer<Float> { first + index * stride }
}

/// The attention of some rows of one query head.
///
/// The rows' parts stand in one piece while they are used: in matrices they are thousands of elements apart, and would share a
/// few places of the first-level cache.
struct HeadAttention {
    let tile: AttentionGroup
    let keyHead: Int

    private var rowCount: Int { tile.rows.count }
    private var dimension: Int { tile.pages.headDimension }
    private var pageRows: Int { KeyValuePages.pageRowCount }
    /// Keys that the last row sees.
    private var mostKeys: Int { visibleKeys(rowCount - 1) }
    private var pageCount: Int { (mostKeys + pageRows - 1) / pageRows }
    /// Scores of a row, in whole pages.
    private var width: Int { pageCount * pageRows }

    private func visibleKeys(_ row: Int) -> Int { tile.visibleKeys + row * tile.keysPerRow }

    /// Keys in a page that any row sees, rounded up to whole vectors.
    private func keysInPage(_ page: Int) -> Int { min(pageRows, (mostKeys - page * pageRows + 15) / 16 * 16) }

    /// The first row that sees a key of a page; rows before it are left out.
    private func firstRow(seeing page: Int) -> Int {
        tile.keysPerRow == 0 ? 0 : max(0, (page * pageRows - tile.visibleKeys) / tile.keysPerRow + 1)
    }

    private func valuesInPage(_ page: Int) -> Int { min(pageRows, mostKeys - page * pageRows) }

    /// Keys, or values, of the next page, which may be fetched while a page's are computed with.
    private func stored(
        behind page: Int, _ stored: (_ page: Int, _ head: Int) -> UnsafeMutableRawPointer
    ) -> UnsafeRawPointer? {
        guard page + 1 < pageCount, tile.pages.areReadInPlace(rowCount: rowCount) else { return nil }
        return UnsafeRawPointer(stored(page + 1, keyHead))
    }

    /// Elements of memory that either way of computing takes.
    var floatCount: Int {
        let widened = tile.pages.headElementCount
        let integers = rowCount * (dimension + pageRows) / 2 + 4 * rowCount
        return rowCount * width + max(rowCount * dimension + widened, integers) + rowCount * dimension
    }

    private var scale: Float { 1 / Float(dimension).squareRoot() }

    /// `softmax(q K^T / sqrt(d)) V` in Float32.
    func compute(
        _ queries: HeadRows, _ results: HeadRows, memory result: UnsafeMutablePointer<Float>, _ kernels: owl2_kernels
    ) {
        let scores = result + rowCount * dimension, query = scores + rowCount * width
        let widened = query + rowCount * dimension
        for row in 0..<rowCount { (query + row * dimension).update(from: queries.row(row), count: dimension) }
        for page in 0..<pageCount {
            let first = firstRow(seeing: page), count = rowCount - first
            let (type, keys) = tile.pages.keys(page: page, head: keyHead, rowCount: count, widenedTo: widened, kernels)
            kernels.combine(
                query + first * dimension, dimension, count, type, keys, pageRows, keysInPage(page), dimension,
                scores + first * width + page * pageRows, width, false,
                stored(behind: page, tile.pages.keys(page:head:)))
        }
        for row in 0..<rowCount {
            kernels.softmax(scores + row * width, visibleKeys(row), scale)
            (scores + row * width + visibleKeys(row)).update(repeating: 0, count: mostKeys - visibleKeys(row))
        }
        for page in 0..<pageCount {
            let first = firstRow(seeing: page), count = rowCount - first
            let (type, values) = tile.pages.values(
                page: page, head: keyHead, rowCount: count, widenedTo: widened, kernels)
            kernels.combine(
                scores + first * width + page * pageRows, width, count, type, values, dimension, dimension,
                valuesInPage(page), result + first * dimension, dimension, page > 0,
                stored(behind: page, tile.pages.values(page:head:)))
        }
        for row in 0..<rowCount { results.row(row).update(from: result + row * dimension, count: dimension) }
    }

    /// The same by products of 16-bit integers.
    ///
    /// A query, a key and a value each have a scale; of a row's powers `e^(score - most)` those of a page have one, so that
    /// small ones do not vanish beside a large one of another page. A value's scale is multiplied into its powers.
    func computeInIntegers(
        _ queries: HeadRows, _ results: HeadRows, memory result: UnsafeMutablePointer<Float>, _ kernels: owl2_kernels
    ) {
        let scores = result + rowCount * dimension
        let scoreScales = scores + rowCount * width
        let most = scoreScales + rowCount, sums = most + rowCount, powerScales = sums + rowCount
        let integers = UnsafeMutableRawPointer(powerScales + rowCount)
            .bindMemory(to: Int16.self, capacity: rowCount * (dimension + pageRows))
        let powers = integers + rowCount * dimension

        for row in 0..<rowCount { owl2_ask_to_write(results.row(row), dimension * 4) }
        for row in 0..<rowCount {
            scoreScales[row] =
                scale * kernels.quantize_int16(queries.row(row), dimension, integers + row * dimension)
        }
        for page in 0..<pageCount {
            kernels.scores_int16(
                integers, rowCount, tile.pages.keys(page: page, head: keyHead), keysInPage(page), dimension,
                scores + page * pageRows, width)
        }
        for row in 0..<rowCount { most[row] = kernels.maximum(scores + row * width, visibleKeys(row)) }
        sums.update(repeating: 0, count: rowCount)
        result.update(repeating: 0, count: rowCount * dimension)
        for page in 0..<pageCount {
            let values = tile.pages.values(page: page, head: keyHead)
            let valueScales = tile.pages.int16Scales(of: values)
            for row in 0..<rowCount {
                let seen = max(0, min(pageRows, visibleKeys(row) - page * pageRows))
                sums[row] += kernels.exponentials_int16(
                    scores + row * width + page * pageRows, seen, scoreScales[row], most[row], valueScales,
                    powers + row * pageRows, powerScales + row)
            }
            kernels.add_values_int16(
                powers, powerScales, rowCount, values, valuesInPage(page), dimension, result)
        }
        for row in 0..<rowCount {
            let factor = 1 / sums[row], sum = result + row * dimension, target = results.row(row)
            for column in 0..<dimension { target[column] = sum[column] * factor }
        }
    }
}

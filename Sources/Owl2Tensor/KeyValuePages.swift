/// Keys and values of one attention layer for one sequence, in pages of a fixed number of rows.
///
/// A page belongs to fixed positions of the sequence, so attention meets the keys in the same groups whatever else is
/// computed. In a page each head's keys stand transposed, `[head, dimension, row]`, so that one query meets a page's keys
/// in neighbouring elements; the values stand `[head, row, dimension]`.
package final class KeyValuePages: @unchecked Sendable {
    // Unchecked: appended to by the one owner, while nobody reads.

    /// Rows of a page.
    package static let pageRowCount = 64

    package let headCount: Int
    package let headDimension: Int
    /// Rows in use.
    package private(set) var count = 0
    private var pages: [UnsafeMutablePointer<Float>] = []

    package init(headCount: Int, headDimension: Int) {
        self.headCount = headCount
        self.headDimension = headDimension
    }

    deinit {
        for page in pages { page.deallocate() }
    }

    private var halfPage: Int { headCount * headDimension * Self.pageRowCount }

    /// Bytes of the pages.
    package var byteCount: Int { pages.count * 2 * halfPage * MemoryLayout<Float>.stride }

    /// The keys of a head in a page: `[dimension, row]`.
    package func keys(page: Int, head: Int) -> UnsafeMutablePointer<Float> {
        pages[page] + head * headDimension * Self.pageRowCount
    }

    /// The values of a head in a page: `[row, dimension]`.
    package func values(page: Int, head: Int) -> UnsafeMutablePointer<Float> {
        pages[page] + halfPage + head * headDimension * Self.pageRowCount
    }

    /// Adds rows, head by head: head `h` of a row begins `h * headStride` elements behind the row's begin.
    ///
    /// - Parameters:
    ///   - rowCount: How many rows.
    ///   - keys: The first row's keys.
    ///   - values: The first row's values.
    ///   - rowStride: Elements from row to row.
    ///   - headStride: Elements from head to head.
    package func append(
        rowCount: Int, keys: UnsafePointer<Float>, values: UnsafePointer<Float>, rowStride: Int, headStride: Int
    ) {
        let rows = Self.pageRowCount
        while pages.count * rows < count + rowCount {
            let page = UnsafeMutablePointer<Float>.allocate(capacity: 2 * halfPage)
            page.initialize(repeating: 0, count: 2 * halfPage)
            pages.append(page)
        }
        for row in 0..<rowCount {
            let (page, slot) = (count + row).quotientAndRemainder(dividingBy: rows)
            for head in 0..<headCount {
                let source = row * rowStride + head * headStride
                let keyTarget = self.keys(page: page, head: head) + slot
                for dimension in 0..<headDimension { keyTarget[dimension * rows] = keys[source + dimension] }
                (self.values(page: page, head: head) + slot * headDimension)
                    .update(from: values + source, count: headDimension)
            }
        }
        count += rowCount
    }

    /// Forgets the rows from `newCount` on; their pages are kept for the next ones.
    package func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count)
        count = newCount
    }
}

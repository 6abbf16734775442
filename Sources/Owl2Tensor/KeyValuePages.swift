import COwl2Kernels

/// How a cache holds keys and values.
public enum KeyValueType: String, Sendable, CaseIterable {
    /// Float32: exact.
    case f32
    /// Half precision: half of the memory.
    case f16
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// Bytes with a scale for every 32 columns of a row: a quarter of the memory.
    case q8_0
}

/// Keys and values of one attention layer for one sequence, in pages of a fixed number of rows.
///
/// A page belongs to fixed positions of the sequence, so attention meets the keys in the same groups whatever else is
/// computed. In a page each head's keys stand transposed, `[head, dimension, row]`, so that one query meets a page's keys
/// in neighbouring elements; the values stand `[head, row, dimension]`. Bytes are followed by their scales: for keys
/// `[group, row]`, for values `[row, group]`, where a group is 32 columns. Integers of 16 bits stand in pairs, keys
/// `[head, dimension / 2, row, 2]` and values `[head, row / 2, dimension, 2]`, followed by a scale for each row.
package final class KeyValuePages: @unchecked Sendable {
    // Unchecked: appended to by the one owner, while nobody reads.

    /// How a page holds keys and values.
    package enum Storage: CaseIterable {
        case f32
        case f16
        // swift-format-ignore: AlwaysUseLowerCamelCase
        case q8_0
        /// For attention in integers, see `HeadAttention`: of an even number of columns, at most 128.
        case int16

        /// What a cache of that type holds.
        package init(_ type: KeyValueType) {
            self =
                switch type {
                case .f32: .f32
                case .f16: .f16
                case .q8_0: .q8_0
                }
        }
    }

    /// Rows of a page.
    package static let pageRowCount = 64
    /// Columns that share a scale.
    static let groupColumnCount = 32

    /// How a page is divided.
    struct Layout {
        let headCount: Int
        let headDimension: Int
        let storage: Storage

        /// Elements of a head's keys, or values, in a page.
        var headElementCount: Int { headDimension * pageRowCount }

        /// Bytes of a head's keys, or values, in a page.
        private var headByteCount: Int {
            switch storage {
            case .f32: headElementCount * 4
            case .f16: headElementCount * 2
            case .q8_0: headElementCount + groupCount * pageRowCount * 4
            case .int16: headElementCount * 2 + pageRowCount * 4
            }
        }

        private var groupCount: Int { (headDimension + groupColumnCount - 1) / groupColumnCount }

        var pageByteCount: Int { 2 * headCount * headByteCount }

        func offset(ofKeys head: Int) -> Int { head * headByteCount }
        func offset(ofValues head: Int) -> Int { (headCount + head) * headByteCount }
    }

    let layout: Layout
    /// Rows in use.
    package private(set) var count = 0
    private var pages: [UnsafeMutableRawPointer] = []

    package var headCount: Int { layout.headCount }
    package var headDimension: Int { layout.headDimension }
    package var storage: Storage { layout.storage }

    package init(headCount: Int, headDimension: Int, storage: Storage) {
        precondition(storage != .int16 || Self.integersFit(headDimension), "columns for 16-bit integers")
        layout = Layout(headCount: headCount, headDimension: headDimension, storage: storage)
    }

    /// Whether keys of so many columns can be held as integers of 16 bits.
    static func integersFit(_ headDimension: Int) -> Bool {
        headDimension.isMultiple(of: 2) && headDimension <= OWL2_INT16_MOST_COLUMNS
    }

    deinit {
        for page in pages { WorkingMemory.deallocate(page, byteCount: layout.pageByteCount) }
    }

    /// Elements of a head's keys, or values, in a page.
    package var headElementCount: Int { layout.headElementCount }

    /// Bytes of the pages.
    package var byteCount: Int { pages.count * layout.pageByteCount }

    /// The keys of a head in a page: `[dimension, row]`.
    package func keys(page: Int, head: Int) -> UnsafeMutableRawPointer { pages[page] + layout.offset(ofKeys: head) }

    /// The values of a head in a page: `[row, dimension]`.
    package func values(page: Int, head: Int) -> UnsafeMutableRawPointer {
        pages[page] + layout.offset(ofValues: head)
    }

    /// Where a row has its keys and values.
    package func place(of row: Int) -> KeyValuePlace {
        let (page, slot) = row.quotientAndRemainder(dividingBy: Self.pageRowCount)
        return KeyValuePlace(page: pages[page], slot: slot, layout: layout)
    }

    /// Makes room for rows, all of which the caller then stores. What a new page has behind them is zeros.
    ///
    /// - Returns: The rows' numbers in the sequence.
    @discardableResult
    package func grow(by rowCount: Int) -> Range<Int> {
        let rows = count..<count + rowCount
        while pages.count * Self.pageRowCount < rows.upperBound {
            let page = WorkingMemory.allocate(byteCount: layout.pageByteCount)
            let isWhollyWritten = (pages.count + 1) * Self.pageRowCount <= rows.upperBound
            if !isWhollyWritten { page.initializeMemory(as: UInt8.self, repeating: 0, count: layout.pageByteCount) }
            pages.append(page)
        }
        count = rows.upperBound
        return rows
    }

    /// Forgets the rows from `newCount` on; their pages are kept for the next ones.
    package func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count)
        count = newCount
    }
}

extension KeyValuePages {
    /// A head's keys of a page as `combine` takes them for some rows: in place, or widened into scratch memory.
    func keys(
        page: Int, head: Int, rowCount: Int, widenedTo scratch: UnsafeMutablePointer<Float>, _ kernels: owl2_kernels
    ) -> (owl2_type, UnsafeRawPointer) {
        readable(keys(page: page, head: head), rowCount, kernels.widen_q8_keys, scratch, kernels)
    }

    /// A head's values of a page, likewise.
    func values(
        page: Int, head: Int, rowCount: Int, widenedTo scratch: UnsafeMutablePointer<Float>, _ kernels: owl2_kernels
    ) -> (owl2_type, UnsafeRawPointer) {
        readable(values(page: page, head: head), rowCount, kernels.widen_q8_values, scratch, kernels)
    }

    /// Whether so many rows read keys and values where they are stored. Several tiles of a kernel would widen halves once each.
    func areReadInPlace(rowCount: Int) -> Bool { storage == .f32 || storage == .f16 && rowCount < 16 }

    private func readable(
        _ stored: UnsafeMutableRawPointer, _ rowCount: Int,
        _ widenQ8: (UnsafeRawPointer?, Int, UnsafeMutablePointer<Float>?) -> Void,
        _ scratch: UnsafeMutablePointer<Float>, _ kernels: owl2_kernels
    ) -> (owl2_type, UnsafeRawPointer) {
        switch storage {
        case .f32: return (OWL2_F32, UnsafeRawPointer(stored))
        case .f16 where areReadInPlace(rowCount: rowCount): return (OWL2_F16, UnsafeRawPointer(stored))
        case .f16: kernels.widen(OWL2_F16, stored, headElementCount, scratch)
        case .q8_0: widenQ8(stored, headDimension, scratch)
        case .int16: preconditionFailure("integers are combined by kernels of their own")
        }
        return (OWL2_F32, UnsafeRawPointer(scratch))
    }

    /// The scales of a head's integers in a page, one for each row.
    func int16Scales(of stored: UnsafeRawPointer) -> UnsafePointer<Float> {
        (stored + headElementCount * 2).assumingMemoryBound(to: Float.self)
    }
}

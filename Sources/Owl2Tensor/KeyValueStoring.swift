import COwl2Kernels

/// What attention keeps of a row.
package enum KeyValuePart {
    case keys
    case values
}

/// Where a row of a sequence has its keys and values, for as long as its pages are in use. Threads may share it at no cost.
package struct KeyValuePlace {
    let page: UnsafeMutableRawPointer
    /// The row's number in the page.
    let slot: Int
    let layout: KeyValuePages.Layout
}

extension Range<Int> {
    /// The heads whose columns these are, as many for each.
    package func heads(columnsPerHead: Int) -> Range<Int> {
        lowerBound / columnsPerHead..<upperBound / columnsPerHead
    }
}

extension Compute {
    /// Stores keys, or values, of some heads of rows that follow one another in a sequence. Other rows and heads may be stored
    /// by other threads at the same time.
    ///
    /// - Parameters:
    ///   - part: Which of both.
    ///   - x: The first row's and head's.
    ///   - stride: Elements from row to row.
    ///   - headStride: Elements from head to head.
    ///   - rows: Their numbers in the pages, which have room for them.
    ///   - heads: The heads.
    ///   - pages: Where they go.
    package func store(
        _ part: KeyValuePart, _ x: UnsafePointer<Float>, stride: Int, headStride: Int, rows: Range<Int>,
        heads: Range<Int>, in pages: KeyValuePages
    ) {
        var row = rows.lowerBound
        while row < rows.upperBound {
            let place = pages.place(of: row)
            let count = min(KeyValuePages.pageRowCount - place.slot, rows.upperBound - row)
            store(
                part, x + (row - rows.lowerBound) * stride, stride: stride, count: count, headStride: headStride,
                heads: heads, at: place)
            row += count
        }
    }

    /// The same of one row, or of some that have their places in one page.
    package func store(
        _ part: KeyValuePart, _ x: UnsafePointer<Float>, stride: Int = 0, count: Int = 1, headStride: Int,
        heads: Range<Int>, at place: KeyValuePlace
    ) {
        let layout = place.layout, store = storing(part, layout.storage)
        for head in heads {
            let offset = part == .keys ? layout.offset(ofKeys: head) : layout.offset(ofValues: head)
            store?(
                x + (head - heads.lowerBound) * headStride, stride, count, layout.headDimension, place.slot,
                place.page + offset)
        }
    }

    private func storing(
        _ part: KeyValuePart, _ storage: KeyValuePages.Storage
    ) -> (@convention(c) (UnsafePointer<Float>?, Int, Int, Int, Int, UnsafeMutableRawPointer?) -> Void)? {
        switch (storage, part) {
        case (.f32, .keys): kernels.store_f32_keys
        case (.f32, .values): kernels.store_f32_values
        case (.f16, .keys): kernels.store_f16_keys
        case (.f16, .values): kernels.store_f16_values
        case (.q8_0, .keys): kernels.store_q8_keys
        case (.q8_0, .values): kernels.store_q8_values
        case (.int16, .keys): kernels.store_int16_keys
        case (.int16, .values): kernels.store_int16_values
        }
    }
}

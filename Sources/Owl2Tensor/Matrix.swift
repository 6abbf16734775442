/// Activations: a row-major Float32 matrix `[rows, columns]` in memory of its own.
///
/// A matrix is written by whoever made it, before it is handed on; afterwards it is only read.
public final class Matrix: @unchecked Sendable {
    // Unchecked: see above; writing is limited to this package.

    /// The number of rows: tokens, patches or queries.
    public let rowCount: Int
    /// The number of columns: the width of a row.
    public let columnCount: Int
    package let elements: UnsafeMutablePointer<Float>

    /// The number of elements.
    public var count: Int { rowCount * columnCount }

    /// A matrix whose elements are to be written before they are read.
    package init(uninitializedRows rowCount: Int, columns columnCount: Int) {
        precondition(rowCount >= 0 && columnCount >= 0)
        self.rowCount = rowCount
        self.columnCount = columnCount
        let memory = WorkingMemory.allocate(byteCount: rowCount * columnCount * MemoryLayout<Float>.stride)
        elements = memory.bindMemory(to: Float.self, capacity: max(1, rowCount * columnCount))
    }

    /// A matrix with the given elements, row by row.
    ///
    /// - Parameters:
    ///   - rowCount: The number of rows.
    ///   - columnCount: The number of columns.
    ///   - values: `rowCount * columnCount` elements; another count is a programmer's error.
    public convenience init(rowCount: Int, columnCount: Int, values: [Float]) {
        precondition(values.count == rowCount * columnCount, "\(values.count) values for \(rowCount) x \(columnCount)")
        self.init(uninitializedRows: rowCount, columns: columnCount)
        values.withUnsafeBufferPointer { source in
            if let base = source.baseAddress { elements.update(from: base, count: source.count) }
        }
    }

    deinit {
        WorkingMemory.deallocate(elements, byteCount: count * MemoryLayout<Float>.stride)
    }

    /// The elements, row by row.
    public var values: [Float] { Array(UnsafeBufferPointer(start: elements, count: count)) }

    /// The elements of one row.
    public subscript(row index: Int) -> [Float] {
        precondition(index >= 0 && index < rowCount, "row \(index) of \(rowCount)")
        return Array(UnsafeBufferPointer(start: row(index), count: columnCount))
    }

    package func row(_ index: Int) -> UnsafeMutablePointer<Float> { elements + index * columnCount }

    /// The given rows, in the given order.
    package func gathering(_ rows: [Int]) -> Matrix {
        let result = Matrix(uninitializedRows: rows.count, columns: columnCount)
        for (target, source) in rows.enumerated() {
            result.row(target).update(from: row(source), count: columnCount)
        }
        return result
    }

    /// The rows of all matrices, one below the other.
    package static func stacking(_ parts: [Matrix], columns: Int) -> Matrix {
        let result = Matrix(uninitializedRows: parts.reduce(0) { $0 + $1.rowCount }, columns: columns)
        var at = result.elements
        for part in parts {
            precondition(part.columnCount == columns)
            at.update(from: part.elements, count: part.count)
            at += part.count
        }
        return result
    }
}

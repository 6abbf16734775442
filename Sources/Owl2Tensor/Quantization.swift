import COwl2Kernels
import Owl2Core

/// An element that a storage type cannot hold.
package struct UnstorableElement: Sendable, Equatable {
    /// Its row.
    package let row: Int
    /// Its column.
    package let column: Int
    /// Its value: not finite, or too large in magnitude.
    package let value: Float
}

/// Reads rows of weights in one storage type and writes them in another.
package struct RowConversion: Sendable {
    /// Elements of a row: a multiple of both types' blocks.
    package let columnCount: Int
    /// The type of the rows that are read.
    package let source: ElementType
    /// The type of the rows that are written.
    package let target: ElementType

    /// A conversion of rows of `columnCount` elements.
    package init(columnCount: Int, from source: ElementType, to target: ElementType) {
        precondition(columnCount % source.blockElementCount == 0 && columnCount % target.blockElementCount == 0)
        self.columnCount = columnCount
        self.source = source
        self.target = target
    }
}

extension Compute {
    /// Elements of a task of a conversion.
    private static let elementsPerTask = 65_536

    /// Converts rows in parallel.
    ///
    /// - Parameters:
    ///   - rows: Whole rows of the source type, at any alignment.
    ///   - conversion: Types and width.
    ///   - output: Gets as many rows of the target type; another size is a programmer's error.
    /// - Returns: The first element that the target type cannot hold; nil when all rows were written.
    package func convert(
        _ rows: ByteRegion, _ conversion: RowConversion, into output: UnsafeMutableRawBufferPointer
    ) -> UnstorableElement? {
        let width = conversion.columnCount
        let sourceBytes = conversion.source.byteCount(ofRow: width)
        let targetBytes = conversion.target.byteCount(ofRow: width)
        guard let source = rows.bytes.baseAddress, let target = output.baseAddress, sourceBytes > 0 else { return nil }
        let rowCount = rows.count / sourceBytes
        precondition(rows.count == rowCount * sourceBytes && output.count == rowCount * targetBytes)
        let rowsPerTask = max(1, Self.elementsPerTask / width)
        let taskCount = (rowCount + rowsPerTask - 1) / rowsPerTask
        let quantize = owl2_quantize_best()
        let faults = TaskResults<UnstorableElement>(count: taskCount)
        pool.forEach(taskCount) { task in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { row in
                guard let floats = row.baseAddress else { return }
                for index in task * rowsPerTask..<min(rowCount, (task + 1) * rowsPerTask) {
                    kernels.widen(conversion.source.kernelType, source + index * sourceBytes, width, floats)
                    let done = quantize?(conversion.target.kernelType, floats, width, target + index * targetBytes) ?? 0
                    guard done == width else {
                        return faults.set(task, UnstorableElement(row: index, column: done, value: floats[done]))
                    }
                }
            }
        }
        return withExtendedLifetime(rows) { faults.first }
    }
}

/// A place for the result of each task of a parallel loop.
private final class TaskResults<Result: Sendable>: @unchecked Sendable {
    // Unchecked: a task writes its own element alone, and they are read after the loop.
    private let results: UnsafeMutableBufferPointer<Result?>

    init(count: Int) {
        results = .allocate(capacity: count)
        results.initialize(repeating: nil)
    }

    deinit {
        results.deinitialize()
        results.deallocate()
    }

    func set(_ task: Int, _ result: Result) { results[task] = result }

    var first: Result? { results.first { $0 != nil } ?? nil }
}

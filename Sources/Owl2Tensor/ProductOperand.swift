import COwl2Kernels

/// The activations of a product, in the form that its kernel reads.
protocol ProductOperand {
    /// Rows that meet a panel of weights one after another at most: as many as a second-level cache and a share of the third
    /// hold, so that the next panel finds them there.
    var mostRowsPerBlock: Int { get }
    /// Blocks of rows are whole tiles.
    var rowsPerTile: Int { get }
    /// Whether a task's outputs of several tiles are collected before they go to a large matrix. Where a kernel stores a few of
    /// every row in turn, lines of rows that are kilobytes apart drive each other out of the caches, which costs more than a copy.
    var collectsOutputs: Bool { get }

    /// Outputs of a task; there should be several tasks for every thread.
    func outputsPerTask(_ weight: WeightMatrix, rowCount: Int, threadCount: Int) -> Int

    /// `y = x W^T + b` for some rows and outputs, for which `bias` and `y` begin.
    func multiply(
        rows: Range<Int>, _ weight: WeightMatrix, outputs: Range<Int>, _ bias: UnsafePointer<Float>?,
        _ y: UnsafeMutablePointer<Float>, stride: Int)
}

/// Activations in a kernel's own form, made of floats.
protocol PreparedRows: ProductOperand {
    /// Columns that are prepared together.
    var columnsPerPart: Int { get }

    /// Prepares all rows.
    func prepare(_ source: RowSource, _ compute: Compute)

    /// Prepares some columns of some rows, for which x begins. Columns are whole parts, or go to the last one; so are rows, in
    /// tiles.
    func prepare(rows: Range<Int>, columns: Range<Int>, _ x: UnsafePointer<Float>, stride: Int)
}

/// Calls `body` with some rows of activations, one behind the other.
typealias RowSource = (_ rows: Range<Int>, _ body: (UnsafePointer<Float>) -> Void) -> Void

extension ProductOperand {
    var mostRowsPerBlock: Int { 512 }
    var rowsPerTile: Int { Int(OWL2_TILE_ROWS) }
    var collectsOutputs: Bool { false }

    /// For one row about 256 kB of weights a task; for many rows a few panels, of which the kernel fetches the next while it
    /// multiplies one.
    fileprivate func outputsPerTask(_ weight: WeightMatrix, rowCount: Int, threadCount: Int, panel: Int) -> Int {
        let panel = rowCount == 1 ? 8 : panel
        let most = rowCount == 1 ? 262_144 / max(1, weight.elementType.byteCount(ofRow: weight.columnCount)) : 4 * panel
        let byThreads = rowCount == 1 ? weight.rowCount / threadCount : weight.rowCount / (8 * threadCount)
        return max(panel, min(most, byThreads) / panel * panel)
    }
}

/// Activations as they are, for weights stored as floats.
struct FloatRows: ProductOperand {
    let x: Matrix
    let kernels: owl2_kernels

    func outputsPerTask(_ weight: WeightMatrix, rowCount: Int, threadCount: Int) -> Int {
        outputsPerTask(weight, rowCount: rowCount, threadCount: threadCount, panel: 48)
    }

    func multiply(
        rows: Range<Int>, _ weight: WeightMatrix, outputs: Range<Int>, _ bias: UnsafePointer<Float>?,
        _ y: UnsafeMutablePointer<Float>, stride: Int
    ) {
        kernels.product(
            weight.elementType.kernelType, x.row(rows.lowerBound), x.columnCount, rows.count,
            weight.row(outputs.lowerBound), outputs.count, weight.columnCount, bias, y, stride)
    }
}

/// Activations quantised for products with blocks: bytes with a scale for each group of 32.
final class QuantizedRows: PreparedRows, @unchecked Sendable {
    // Unchecked: every row and part is written once, before the rows are read.
    private let bytes: UnsafeMutableRawPointer
    private let byteCount: Int
    private let rowCount: Int
    private let columnCount: Int
    /// The kernels whose order the bytes have.
    private let kernels: owl2_block_kernels

    private var rowByteCount: Int { owl2_prepared_bytes(columnCount) }
    var collectsOutputs: Bool { true }
    let columnsPerPart = Int(OWL2_PART_COLUMNS)

    /// Rows that are to be prepared.
    init(rowCount: Int, columnCount: Int, _ kernels: owl2_block_kernels) {
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.kernels = kernels
        byteCount = rowCount * owl2_prepared_bytes(columnCount)
        bytes = WorkingMemory.allocate(byteCount: byteCount)
    }

    deinit { WorkingMemory.deallocate(bytes, byteCount: byteCount) }

    func prepare(_ source: RowSource, _ compute: Compute) {
        compute.forEachRow(of: rowCount, width: columnCount) { row in
            source(row..<row + 1) { prepare(rows: row..<row + 1, columns: 0..<columnCount, $0, stride: columnCount) }
        }
    }

    func prepare(rows: Range<Int>, columns: Range<Int>, _ x: UnsafePointer<Float>, stride: Int) {
        for row in rows {
            kernels.prepare(
                x + (row - rows.lowerBound) * stride, columns.lowerBound, columns.count, columnCount, bytes, row,
                rowCount)
        }
    }

    func outputsPerTask(_ weight: WeightMatrix, rowCount: Int, threadCount: Int) -> Int {
        outputsPerTask(weight, rowCount: rowCount, threadCount: threadCount, panel: 32)
    }

    func multiply(
        rows: Range<Int>, _ weight: WeightMatrix, outputs: Range<Int>, _ bias: UnsafePointer<Float>?,
        _ y: UnsafeMutablePointer<Float>, stride: Int
    ) {
        WorkingMemory.with(byteCount: kernels.working_bytes(rows.count, weight.columnCount)) { working in
            kernels.product(
                weight.elementType.kernelType, bytes + rows.lowerBound * rowByteCount, rows.count,
                weight.row(outputs.lowerBound), outputs.count, weight.columnCount, bias, y, stride, working)
        }
    }
}

/// Activations in parts of bfloat16 for products by tiles.
final class TileRows: PreparedRows, @unchecked Sendable {
    // Unchecked: every block and step is written once, before the rows are read.
    private let bytes: UnsafeMutableRawPointer
    private let byteCount: Int
    private let rowCount: Int
    private let columnCount: Int
    private let type: owl2_type
    private let kernels: owl2_tile_kernels

    let mostRowsPerBlock = 640
    let rowsPerTile = Int(OWL2_BLOCK_ROWS)
    let columnsPerPart = Int(OWL2_STEP)

    /// Rows that are to be prepared.
    init(rowCount: Int, columnCount: Int, for type: ElementType, _ kernels: owl2_tile_kernels) {
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.type = type.kernelType
        self.kernels = kernels
        byteCount = kernels.prepared_bytes(self.type, rowCount, columnCount)
        bytes = WorkingMemory.allocate(byteCount: byteCount)
    }

    deinit { WorkingMemory.deallocate(bytes, byteCount: byteCount) }

    private func block(at row: Int) -> UnsafeMutableRawPointer {
        bytes + row / rowsPerTile * kernels.prepared_bytes(type, rowsPerTile, columnCount)
    }

    func prepare(_ source: RowSource, _ compute: Compute) {
        compute.pool.forEach((rowCount + rowsPerTile - 1) / rowsPerTile) { block in
            let rows = block * rowsPerTile..<min((block + 1) * rowsPerTile, rowCount)
            source(rows) { prepare(rows: rows, columns: 0..<columnCount, $0, stride: columnCount) }
        }
    }

    func prepare(rows: Range<Int>, columns: Range<Int>, _ x: UnsafePointer<Float>, stride: Int) {
        for first in Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: rowsPerTile) {
            kernels.prepare(
                type, x + (first - rows.lowerBound) * stride, stride, min(rowsPerTile, rows.upperBound - first),
                columns.count, block(at: first) + kernels.prepared_bytes(type, rowsPerTile, columns.lowerBound))
        }
    }

    /// A multiple of the columns of a step.
    func outputsPerTask(_ weight: WeightMatrix, rowCount: Int, threadCount: Int) -> Int {
        let panels = Int(OWL2_STEP)
        return max(panels, min(128, weight.rowCount / (2 * threadCount)) / panels * panels)
    }

    func multiply(
        rows: Range<Int>, _ weight: WeightMatrix, outputs: Range<Int>, _ bias: UnsafePointer<Float>?,
        _ y: UnsafeMutablePointer<Float>, stride: Int
    ) {
        let byteCount = kernels.working_bytes(type, rows.count, outputs.count, columnCount)
        WorkingMemory.with(byteCount: byteCount) { working in
            kernels.product(
                type, block(at: rows.lowerBound), rows.count, weight.row(outputs.lowerBound), outputs.count,
                columnCount, bias, y, stride, working)
        }
    }
}

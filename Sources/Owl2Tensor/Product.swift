import COwl2Kernels
import COwl2OpenBLAS
import Owl2Core

extension ElementType {
    var kernelType: owl2_type {
        switch self {
        case .float32: OWL2_F32
        case .float16: OWL2_F16
        case .bfloat16: OWL2_BF16
        case .q8_0: OWL2_Q8_0
        case .q4_0: OWL2_Q4_0
        case .q4_k: OWL2_Q4_K
        case .q6_k: OWL2_Q6_K
        }
    }
}

/// Activations quantised for products with blocks: bytes with a scale for each group of 32.
private final class PreparedRows: @unchecked Sendable {
    // Unchecked: written in the initialiser, then only read.
    private let bytes: UnsafeMutableRawPointer
    private let rowByteCount: Int
    private let byteCount: Int
    /// The kernels whose order the bytes have.
    let kernels: owl2_block_kernels

    init(_ x: Matrix, for type: ElementType, _ compute: Compute) {
        let kernels = compute.blockKernels(for: type)
        self.kernels = kernels
        rowByteCount = owl2_prepared_bytes(x.columnCount)
        byteCount = x.rowCount * rowByteCount
        let bytes = WorkingMemory.allocate(byteCount: byteCount)
        compute.forEachRow(of: x.rowCount, width: x.columnCount) { row in
            kernels.prepare(x.row(row), x.columnCount, bytes, row, x.rowCount)
        }
        self.bytes = bytes
    }

    deinit { WorkingMemory.deallocate(bytes, byteCount: byteCount) }

    /// The tile of rows that begins with `row`.
    func tile(at row: Int) -> UnsafeRawPointer { UnsafeRawPointer(bytes + row * rowByteCount) }
}

/// What is done with outputs of a product: the number of their row, their columns, and the outputs, which may be changed.
package typealias ProductEnding = (_ row: Int, _ columns: Range<Int>, _ outputs: UnsafeMutablePointer<Float>) -> Void

extension Compute {
    /// The product of activations with stored weights: `y = x W^T + b`, accumulated in Float32.
    ///
    /// - Parameters:
    ///   - x: Activations `[rows, columns of weight]`.
    ///   - weight: Weights `[outputs, inputs]`.
    ///   - bias: Nothing, or one number per output.
    /// - Returns: `[rows, outputs]`.
    public func product(_ x: Matrix, _ weight: WeightMatrix, bias: [Float]? = nil) -> Matrix {
        product(x, weight, bias: bias, then: nil)
    }

    /// The same, followed by `then` for some outputs at a time, while they are in a cache.
    package func product(_ x: Matrix, _ weight: WeightMatrix, bias: [Float]?, then: ProductEnding?) -> Matrix {
        precondition(x.columnCount == weight.columnCount, "\(x.columnCount) columns for \(weight.columnCount) inputs")
        precondition(bias == nil || bias?.count == weight.rowCount)
        let y = Matrix(uninitializedRows: x.rowCount, columns: weight.rowCount)
        guard y.count > 0 else { return y }
        if backend == .openblas && x.rowCount > 1 {
            multiplyWithOpenBLAS(x, weight, bias, y)
            guard let then else { return y }
            forEachRow(of: y.rowCount, width: y.columnCount) { then($0, 0..<y.columnCount, y.row($0)) }
        } else {
            multiply(x, weight, bias, y, then)
        }
        return y
    }

    /// Rows of activations that meet a panel of weights one after another: as many as a second-level cache and a share of
    /// the third hold, so that the next panel finds them there. Whole tiles of prepared rows.
    private static let rowsPerBlock = 512

    /// Outputs are shared among the threads: a panel at a time for many rows of activations, and many more in blocks.
    private func multiply(
        _ x: Matrix, _ weight: WeightMatrix, _ bias: [Float]?, _ y: Matrix, _ then: ProductEnding?
    ) {
        let prepared = weight.elementType.isQuantized ? PreparedRows(x, for: weight.elementType, self) : nil
        let blockCount = (x.rowCount + Self.rowsPerBlock - 1) / Self.rowsPerBlock
        let tile = OWL2_TILE_ROWS, tileCount = (x.rowCount + tile - 1) / tile
        let rowsPerBlock = min(x.rowCount, (tileCount + blockCount - 1) / blockCount * tile)
        let outputsPerTask = outputsPerTask(weight, rowCount: rowsPerBlock)
        let tasksPerBlock = (weight.rowCount + outputsPerTask - 1) / outputsPerTask
        withOptionalPointer(bias) { bias in
            pool.forEach(blockCount * tasksPerBlock) { task in
                let firstRow = task / tasksPerBlock * rowsPerBlock, first = task % tasksPerBlock * outputsPerTask
                let rows = firstRow..<min(firstRow + rowsPerBlock, x.rowCount)
                let outputs = first..<min(first + outputsPerTask, weight.rowCount)
                multiply(x, prepared, rows: rows, weight, outputs: outputs, bias, y)
                guard let then else { return }
                for row in rows { then(row, outputs, y.row(row) + outputs.lowerBound) }
            }
        }
    }

    private func multiply(
        _ x: Matrix, _ prepared: PreparedRows?, rows: Range<Int>, _ weight: WeightMatrix, outputs: Range<Int>,
        _ bias: UnsafePointer<Float>?, _ y: Matrix
    ) {
        let type = weight.elementType.kernelType, w = weight.row(outputs.lowerBound)
        let bias = bias.map { $0 + outputs.lowerBound }, target = y.row(rows.lowerBound) + outputs.lowerBound
        guard let prepared else {
            return kernels.product(
                type, x.row(rows.lowerBound), x.columnCount, rows.count, w, outputs.count, weight.columnCount, bias,
                target, y.columnCount)
        }
        let workingByteCount = prepared.kernels.working_bytes(rows.count, weight.columnCount)
        let working = workingByteCount > 0 ? WorkingMemory.allocate(byteCount: workingByteCount) : nil
        defer { if let working { WorkingMemory.deallocate(working, byteCount: workingByteCount) } }
        prepared.kernels.product(
            type, prepared.tile(at: rows.lowerBound), rows.count, w, outputs.count, weight.columnCount, bias, target,
            y.columnCount, working)
    }

    /// For one row about 256 kB of weights a task; for many rows a few panels, of which the kernel fetches the next while
    /// it multiplies one. There are several tasks for every thread.
    private func outputsPerTask(_ weight: WeightMatrix, rowCount: Int) -> Int {
        let panel = rowCount == 1 ? 8 : weight.elementType.isQuantized ? 32 : 48
        let most = rowCount == 1 ? 262_144 / max(1, weight.elementType.byteCount(ofRow: weight.columnCount)) : 4 * panel
        let byThreads = rowCount == 1 ? weight.rowCount / threadCount : weight.rowCount / (8 * threadCount)
        return max(panel, min(most, byThreads) / panel * panel)
    }

    /// Panels of weights are widened to Float32 and handed to sgemm, which brings its own threads.
    private func multiplyWithOpenBLAS(_ x: Matrix, _ weight: WeightMatrix, _ bias: [Float]?, _ y: Matrix) {
        let panelRows = min(weight.rowCount, 512)
        let panel = Matrix(uninitializedRows: panelRows, columns: weight.columnCount)
        for first in stride(from: 0, to: weight.rowCount, by: panelRows) {
            let count = min(panelRows, weight.rowCount - first)
            forEachRow(of: count, width: weight.columnCount) { row in
                kernels.widen(
                    weight.elementType.kernelType, weight.row(first + row), weight.columnCount, panel.row(row))
            }
            cblas_sgemm(
                CblasRowMajor, CblasNoTrans, CblasTrans, blasint(x.rowCount), blasint(count), blasint(x.columnCount), 1,
                x.elements, blasint(max(1, x.columnCount)), panel.elements, blasint(max(1, x.columnCount)), 0,
                y.elements + first, blasint(y.columnCount))
        }
        withOptionalPointer(bias) { bias in
            guard let bias else { return }
            forEachRow(of: y.rowCount, width: y.columnCount) { kernels.add(bias, y.columnCount, y.row($0)) }
        }
    }

    /// The kernels that OpenBLAS chose for this processor, such as "Zen" or "SkylakeX". An old name such as "Prescott"
    /// on a new processor means that it runs several times too slowly.
    public static var openBLASCoreName: String {
        String(cString: openblas_get_corename())
    }

    /// The kernels that OpenBLAS should have chosen, where it took this processor for an older one; nil where its choice
    /// is right. The name goes into the environment as `OPENBLAS_CORETYPE`, before the program starts.
    public static var betterOpenBLASCoreName: String? {
        betterOpenBLASCoreName(than: openBLASCoreName, on: .best)
    }

    /// The same for a core that OpenBLAS could have chosen, on a processor of an instruction set.
    package static func betterOpenBLASCoreName(than name: String, on instructionSet: InstructionSet) -> String? {
        let usingAVX2 = ["haswell", "zen", "excavator"], usingAVX512 = ["skylakex", "cooperlake", "sapphirerapids"]
        let name = name.lowercased()
        switch instructionSet {
        case .baseline, .neonDotProduct: return nil
        case .avx2, .avxVNNI: return (usingAVX2 + usingAVX512).contains(name) ? nil : "Haswell"
        case .avx512, .avx512VNNI, .amx: return (usingAVX2 + usingAVX512).contains(name) ? nil : "SkylakeX"
        }
    }
}

extension WeightMatrix {
    /// Where a row begins; may be called for the row behind the last.
    func row(_ index: Int) -> UnsafeRawPointer? {
        storage.bytes.baseAddress.map { $0 + index * elementType.byteCount(ofRow: columnCount) }
    }
}

func withOptionalPointer<Result>(_ array: [Float]?, _ body: (UnsafePointer<Float>?) -> Result) -> Result {
    guard let array else { return body(nil) }
    return array.withUnsafeBufferPointer { body($0.baseAddress) }
}

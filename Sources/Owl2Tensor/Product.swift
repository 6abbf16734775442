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

/// What is done with outputs of a product: their rows and columns, and where the first of them stands. They may be changed.
package typealias ProductEnding = (
    _ rows: Range<Int>, _ columns: Range<Int>, _ outputs: UnsafeMutablePointer<Float>, _ stride: Int
) -> Void

extension Compute {
    /// The product of activations with stored weights: `y = x W^T + b`, accumulated in Float32.
    ///
    /// - Parameters:
    ///   - x: Activations `[rows, columns of weight]`.
    ///   - weight: Weights `[outputs, inputs]`.
    ///   - bias: Nothing, or one number per output.
    /// - Returns: `[rows, outputs]`.
    public func product(_ x: Matrix, _ weight: WeightMatrix, bias: [Float]? = nil) -> Matrix {
        product(input(x, for: weight), weight, bias: bias)
    }

    /// The same, followed by `then` for some outputs at a time, while they are in a cache.
    package func product(
        _ x: ProductInput, _ weight: WeightMatrix, bias: [Float]?, columnStep: Int = 1,
        then: ProductEnding = { _, _, _, _ in }
    ) -> Matrix {
        let y = Matrix(uninitializedRows: x.rowCount, columns: weight.rowCount)
        multiply(x, weight, bias, into: y, columnStep: columnStep, then)
        return y
    }

    /// The same outputs, of which only `use` has some at a time: columns in multiples of `columnStep`, or to the last one, and
    /// rows in whole tiles.
    package func withProduct(
        _ x: ProductInput, _ weight: WeightMatrix, bias: [Float]?, columnStep: Int = 1, use: ProductEnding
    ) {
        multiply(x, weight, bias, into: nil, columnStep: columnStep, use)
    }

    /// Some columns of some rows of a product, `[rows, columns]`, on this thread. The rows are whole tiles, or go to the last.
    func withProduct(
        _ x: ProductInput, _ weight: WeightMatrix, bias: [Float]?, rows: Range<Int>, columns: Range<Int>,
        use: (UnsafeMutablePointer<Float>) -> Void
    ) {
        WorkingMemory.withFloats(count: rows.count * columns.count) { outputs in
            withOptionalPointer(bias) { bias in
                x.operand.multiply(
                    rows: rows, weight, outputs: columns, bias.map { $0 + columns.lowerBound }, outputs,
                    stride: columns.count)
            }
            use(outputs)
        }
    }

    private func multiply(
        _ x: ProductInput, _ weight: WeightMatrix, _ bias: [Float]?, into y: Matrix?, columnStep: Int = 1,
        _ then: ProductEnding
    ) {
        precondition(x.columnCount == weight.columnCount, "\(x.columnCount) columns for \(weight.columnCount) inputs")
        precondition(x.weightType == weight.elementType, "input for \(x.weightType), weights of \(weight.elementType)")
        precondition(bias == nil || bias?.count == weight.rowCount)
        guard x.rowCount > 0, weight.rowCount > 0 else { return }
        if backend == .openblas, x.rowCount > 1, let floats = x.operand as? FloatRows {
            let y = y ?? Matrix(uninitializedRows: x.rowCount, columns: weight.rowCount)
            multiplyWithOpenBLAS(floats.x, weight, bias, y)
            return forEachRow(of: y.rowCount, width: y.columnCount) { row in
                then(row..<row + 1, 0..<y.columnCount, y.row(row), y.columnCount)
            }
        }
        multiply(x, x.operand, weight, bias, into: y, columnStep: columnStep, then)
    }

    /// Tasks are blocks of rows by ranges of outputs.
    private func multiply(
        _ x: ProductInput, _ operand: some ProductOperand, _ weight: WeightMatrix, _ bias: [Float]?, into y: Matrix?,
        columnStep: Int, _ then: ProductEnding
    ) {
        let blockCount = (x.rowCount + operand.mostRowsPerBlock - 1) / operand.mostRowsPerBlock
        let tile = operand.rowsPerTile, tileCount = (x.rowCount + tile - 1) / tile
        let rowsPerBlock = min(x.rowCount, (tileCount + blockCount - 1) / blockCount * tile)
        let preferred = operand.outputsPerTask(weight, rowCount: rowsPerBlock, threadCount: threadCount)
        let outputsPerTask = (preferred + columnStep - 1) / columnStep * columnStep
        let tasksPerBlock = (weight.rowCount + outputsPerTask - 1) / outputsPerTask
        withOptionalPointer(bias) { bias in
            pool.forEach(blockCount * tasksPerBlock) { task in
                let firstRow = task / tasksPerBlock * rowsPerBlock, first = task % tasksPerBlock * outputsPerTask
                let rows = firstRow..<min(firstRow + rowsPerBlock, x.rowCount)
                let outputs = first..<min(first + outputsPerTask, weight.rowCount)
                func multiply(into target: UnsafeMutablePointer<Float>, stride: Int) {
                    operand.multiply(
                        rows: rows, weight, outputs: outputs, bias.map { $0 + first }, target, stride: stride)
                    then(rows, outputs, target, stride)
                }
                if let y, rows.count <= operand.rowsPerTile || !operand.collectsOutputs {
                    return multiply(into: y.row(firstRow) + first, stride: y.columnCount)
                }
                WorkingMemory.withFloats(count: rows.count * outputs.count) { memory in
                    multiply(into: memory, stride: outputs.count)
                    guard let y else { return }
                    for row in rows {
                        if row + 8 < rows.upperBound { owl2_ask_to_write(y.row(row + 8) + first, outputs.count * 4) }
                        (y.row(row) + first).update(
                            from: memory + (row - firstRow) * outputs.count, count: outputs.count)
                    }
                }
            }
        }
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

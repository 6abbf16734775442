import COwl2Kernels

/// Activations in the form in which products with weights of a storage type read them.
package struct ProductInput {
    /// The number of rows.
    package let rowCount: Int
    /// The number of columns: a weight's inputs.
    package let columnCount: Int
    /// How the weights are stored.
    let weightType: ElementType
    let operand: any ProductOperand
}

extension Compute {
    /// The rows of a matrix.
    func input(_ x: Matrix, for weight: WeightMatrix) -> ProductInput {
        input(rowCount: x.rowCount, columnCount: x.columnCount, for: weight) {
            FloatRows(x: x, kernels: kernels)
        } rows: { rows, body in
            body(x.row(rows.lowerBound))
        }
    }

    /// Rows that `fill` writes, some at a time, so that they need not all exist as floats.
    func input(
        rowCount: Int, columnCount: Int, for weight: WeightMatrix,
        _ fill: (_ rows: Range<Int>, _ target: UnsafeMutablePointer<Float>) -> Void
    ) -> ProductInput {
        input(rowCount: rowCount, columnCount: columnCount, for: weight) {
            let x = Matrix(uninitializedRows: rowCount, columns: columnCount)
            forEachRow(of: rowCount, width: columnCount) { fill($0..<$0 + 1, x.row($0)) }
            return FloatRows(x: x, kernels: kernels)
        } rows: { rows, body in
            WorkingMemory.withFloats(count: rows.count * columnCount) { memory in
                fill(rows, memory)
                body(memory)
            }
        }
    }

    private func input(
        rowCount: Int, columnCount: Int, for weight: WeightMatrix, floats: () -> FloatRows, rows: RowSource
    ) -> ProductInput {
        let operand: any ProductOperand
        if let prepared = preparedRows(rowCount: rowCount, columnCount: columnCount, for: weight) {
            prepared.prepare(rows, self)
            operand = prepared
        } else {
            operand = floats()
        }
        return ProductInput(
            rowCount: rowCount, columnCount: columnCount, weightType: weight.elementType, operand: operand)
    }

    /// Rows that are to be prepared for products with a weight, unless these take floats as they are.
    func preparedRows(rowCount: Int, columnCount: Int, for weight: WeightMatrix) -> (any PreparedRows)? {
        let type = weight.elementType
        if backend == .openblas && rowCount > 1 { return nil }
        if let tileKernels { return TileRows(rowCount: rowCount, columnCount: columnCount, for: type, tileKernels) }
        guard type.isQuantized else { return nil }
        return QuantizedRows(rowCount: rowCount, columnCount: columnCount, blockKernels(for: type))
    }
}

import COwl2Kernels

/// The activation functions of the model's towers, by their names in `config.json`.
public enum Activation: String, Codable, Sendable {
    /// `x * sigmoid(1.702 x)`.
    case quickGELU = "quick_gelu"
    /// `x / 2 * (1 + erf(x / sqrt 2))`.
    case gelu
}

extension Compute {
    /// Applies an activation function to some numbers, in place.
    func apply(_ activation: Activation, _ x: UnsafeMutablePointer<Float>, _ count: Int) {
        switch activation {
        case .quickGELU: kernels.quick_gelu(x, count)
        case .gelu: kernels.gelu(x, count)
        }
    }

    /// The sum of the rows of `x` and the rows of `table`, which repeats for every `table.rowCount` rows of `x`.
    package func adding(_ table: Matrix, toEveryGroupOf x: Matrix) -> Matrix {
        let y = Matrix(uninitializedRows: x.rowCount, columns: x.columnCount)
        forEachRow(of: x.rowCount, width: x.columnCount) { row in
            y.row(row).update(from: x.row(row), count: x.columnCount)
            kernels.add(table.row(row % table.rowCount), x.columnCount, y.row(row))
        }
        return y
    }

    /// The rows of a stored table, such as embeddings, as Float32.
    ///
    /// - Parameters:
    ///   - indices: Rows of the table; one out of range is a programmer's error.
    ///   - table: `[entries, width]`.
    /// - Returns: `[indices, width]`.
    package func rows(_ indices: [Int], of table: WeightMatrix) -> Matrix {
        let y = Matrix(uninitializedRows: indices.count, columns: table.columnCount)
        for (row, index) in indices.enumerated() {
            precondition(index >= 0 && index < table.rowCount, "row \(index) of \(table.rowCount)")
            kernels.widen(table.elementType.kernelType, table.row(index), table.columnCount, y.row(row))
        }
        return y
    }
}

import COwl2Kernels

/// The activation functions of the model's towers, by their names in `config.json`.
public enum Activation: String, Codable, Sendable {
    /// `x * sigmoid(1.702 x)`.
    case quickGELU = "quick_gelu"
    /// `x / 2 * (1 + erf(x / sqrt 2))`.
    case gelu
}

extension Compute {
    /// Applies an activation function in place.
    package func apply(_ activation: Activation, to x: Matrix) {
        forEachRow(of: x.rowCount, width: x.columnCount) { row in
            switch activation {
            case .quickGELU: kernels.quick_gelu(x.row(row), x.columnCount)
            case .gelu: kernels.gelu(x.row(row), x.columnCount)
            }
        }
    }

    /// `gate = silu(gate) * up`, in place, where `silu(x) = x * sigmoid(x)`.
    package func applySiLU(_ gate: Matrix, times up: Matrix) {
        precondition(gate.rowCount == up.rowCount && gate.columnCount == up.columnCount)
        forEachRow(of: gate.rowCount, width: gate.columnCount) { row in
            kernels.silu_multiply(gate.row(row), up.row(row), gate.columnCount)
        }
    }

    /// `y += x`, in place.
    package func add(_ x: Matrix, to y: Matrix) {
        precondition(x.rowCount == y.rowCount && x.columnCount == y.columnCount)
        forEachRow(of: x.rowCount, width: x.columnCount) { row in
            kernels.add(x.row(row), x.columnCount, y.row(row))
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

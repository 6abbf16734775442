import COwl2Kernels

/// A linear layer: `y = x W^T + b`.
public struct Linear: Sendable {
    /// Weights `[outputs, inputs]`, in any storage type.
    public let weight: WeightMatrix
    /// One number per output, or nothing.
    public let bias: [Float]?
    let compute: Compute

    /// A layer with the given weights.
    public init(weight: WeightMatrix, bias: [Float]? = nil, compute: Compute) {
        self.weight = weight
        self.bias = bias
        self.compute = compute
    }

    /// - Parameter x: `[rows, inputs]`.
    /// - Returns: `[rows, outputs]`.
    public func callAsFunction(_ x: Matrix) -> Matrix {
        compute.product(x, weight, bias: bias)
    }

    /// `activation(x W^T + b)`.
    package func callAsFunction(_ x: Matrix, _ activation: Activation) -> Matrix {
        compute.product(x, weight, bias: bias) { _, columns, outputs in
            compute.apply(activation, outputs, columns.count)
        }
    }

    /// `y += x W^T + b`, in place; y is another matrix than x.
    package func add(_ x: Matrix, to y: Matrix) {
        precondition(x !== y && x.rowCount == y.rowCount && weight.rowCount == y.columnCount)
        _ = compute.product(x, weight, bias: bias) { row, columns, outputs in
            compute.kernels.add(outputs, columns.count, y.row(row) + columns.lowerBound)
        }
    }

    /// `gate = silu(gate) * (x W^T + b)`, in place, where `silu(x) = x * sigmoid(x)`; the gate is another
    /// matrix than x.
    package func multiply(_ x: Matrix, intoSiLUOf gate: Matrix) {
        precondition(x !== gate && x.rowCount == gate.rowCount && weight.rowCount == gate.columnCount)
        _ = compute.product(x, weight, bias: bias) { row, columns, outputs in
            compute.kernels.silu_multiply(gate.row(row) + columns.lowerBound, outputs, columns.count)
        }
    }
}

/// Layer normalisation: `y = (x - mean) / sqrt(variance + eps) * weight + bias`, row by row.
public struct LayerNorm: Sendable {
    let weight: [Float]
    let bias: [Float]
    let epsilon: Float
    let compute: Compute

    /// A normalisation with the given weights, as many as columns.
    public init(weight: [Float], bias: [Float], epsilon: Float, compute: Compute) {
        self.weight = weight
        self.bias = bias
        self.epsilon = epsilon
        self.compute = compute
    }

    /// - Parameter x: `[rows, width]`.
    /// - Returns: `[rows, width]`.
    public func callAsFunction(_ x: Matrix) -> Matrix {
        precondition(x.columnCount == weight.count && x.columnCount == bias.count)
        let y = Matrix(uninitializedRows: x.rowCount, columns: x.columnCount)
        compute.forEachRow(of: x.rowCount, width: x.columnCount) { row in
            compute.kernels.layer_norm(x.row(row), weight, bias, x.columnCount, epsilon, y.row(row))
        }
        return y
    }
}

/// Root-mean-square normalisation: `y = x / sqrt(mean(x^2) + eps) * weight`, row by row.
public struct RMSNorm: Sendable {
    let weight: [Float]
    let epsilon: Float
    let compute: Compute

    /// A normalisation with the given weights, as many as columns.
    public init(weight: [Float], epsilon: Float, compute: Compute) {
        self.weight = weight
        self.epsilon = epsilon
        self.compute = compute
    }

    /// - Parameter x: `[rows, width]`.
    /// - Returns: `[rows, width]`.
    public func callAsFunction(_ x: Matrix) -> Matrix {
        let y = Matrix(uninitializedRows: x.rowCount, columns: x.columnCount)
        compute.forEachRow(of: x.rowCount, width: x.columnCount) { normalize(x.row($0), into: y.row($0)) }
        return y
    }

    /// Normalises one row of as many elements as there are weights.
    package func normalize(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>) {
        compute.kernels.rms_norm(x, weight, weight.count, epsilon, y)
    }
}

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

    /// The same of rows that are in the form of this layer's input.
    package func callAsFunction(_ x: ProductInput) -> Matrix {
        compute.product(x, weight, bias: bias)
    }

    /// The same, followed by `then` for some rows and columns at a time, columns in multiples of `columnStep`.
    package func callAsFunction(_ x: Matrix, columnStep: Int, then: ProductEnding) -> Matrix {
        compute.product(input(x), weight, bias: bias, columnStep: columnStep, then: then)
    }

    /// The outputs, of which only `use` has some rows and columns at a time, columns in multiples of `columnStep`.
    package func withOutputs(of x: ProductInput, columnStep: Int, use: ProductEnding) {
        compute.withProduct(x, weight, bias: bias, columnStep: columnStep, use: use)
    }

    /// `activation(x W^T + b)` as input of another layer.
    package func callAsFunction(_ x: ProductInput, _ activation: Activation, for next: Linear) -> ProductInput {
        func activate(_ rows: Range<Int>, _ columns: Range<Int>, _ y: UnsafeMutablePointer<Float>, _ stride: Int) {
            for row in 0..<rows.count { compute.apply(activation, y + row * stride, columns.count) }
        }
        guard let prepared = next.preparedRows(rowCount: x.rowCount) else {
            return next.input(compute.product(x, weight, bias: bias, then: activate))
        }
        compute.withProduct(x, weight, bias: bias, columnStep: prepared.columnsPerPart) {
            rows, columns, outputs, stride in
            activate(rows, columns, outputs, stride)
            prepared.prepare(rows: rows, columns: columns, outputs, stride: stride)
        }
        return next.input(prepared, rowCount: x.rowCount)
    }

    /// A matrix as this layer's input.
    package func input(_ x: Matrix) -> ProductInput { compute.input(x, for: weight) }

    private func preparedRows(rowCount: Int) -> (any PreparedRows)? {
        compute.preparedRows(rowCount: rowCount, columnCount: weight.columnCount, for: weight)
    }

    private func input(_ rows: any PreparedRows, rowCount: Int) -> ProductInput {
        ProductInput(
            rowCount: rowCount, columnCount: weight.columnCount, weightType: weight.elementType, operand: rows)
    }

    /// `y += x W^T + b`, in place; y is another matrix than x.
    package func add(_ x: Matrix, to y: Matrix) {
        precondition(x !== y)
        add(input(x), to: y)
    }

    /// The same of rows that are in the form of this layer's input.
    package func add(_ x: ProductInput, to y: Matrix) {
        precondition(x.rowCount == y.rowCount && weight.rowCount == y.columnCount)
        compute.withProduct(x, weight, bias: bias) { rows, columns, outputs, stride in
            for row in rows {
                compute.kernels.add(
                    outputs + (row - rows.lowerBound) * stride, columns.count, y.row(row) + columns.lowerBound)
            }
        }
    }

    /// `gate = silu(gate) * (x W^T + b)`, in place, where `silu(x) = x * sigmoid(x)`; the gate is another
    /// matrix than x.
    package func multiply(_ x: Matrix, intoSiLUOf gate: Matrix) {
        precondition(x !== gate && x.rowCount == gate.rowCount && weight.rowCount == gate.columnCount)
        compute.withProduct(input(x), weight, bias: bias) { rows, columns, outputs, stride in
            for row in rows {
                compute.kernels.silu_multiply(
                    gate.row(row) + columns.lowerBound, outputs + (row - rows.lowerBound) * stride, columns.count)
            }
        }
    }

    /// `silu(x W^T + b) * up(x)` as input of another layer.
    package func gating(_ up: Linear, _ x: Matrix, for next: Linear) -> ProductInput {
        precondition(weight.rowCount == up.weight.rowCount && weight.columnCount == up.weight.columnCount)
        let input = input(x)
        // A single row is as fast as weights are read: threads end together where tasks are small.
        guard x.rowCount > 1, up.weight.elementType == weight.elementType,
            let prepared = next.preparedRows(rowCount: x.rowCount)
        else {
            let gate = self(input)
            up.multiply(x, intoSiLUOf: gate)
            return next.input(gate)
        }
        compute.withProduct(
            input, weight, bias: bias, columnStep: prepared.columnsPerPart
        ) { rows, columns, gates, stride in
            compute.withProduct(input, up.weight, bias: up.bias, rows: rows, columns: columns) { factors in
                for row in 0..<rows.count {
                    compute.kernels.silu_multiply(gates + row * stride, factors + row * columns.count, columns.count)
                }
            }
            prepared.prepare(rows: rows, columns: columns, gates, stride: stride)
        }
        return next.input(prepared, rowCount: x.rowCount)
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
        compute.forEachRow(of: x.rowCount, width: x.columnCount) { normalize(x.row($0), into: y.row($0)) }
        return y
    }

    /// The same as input of a layer.
    package func callAsFunction(_ x: Matrix, for next: Linear) -> ProductInput {
        precondition(x.columnCount == weight.count && x.columnCount == bias.count)
        return next.compute.input(rowCount: x.rowCount, columnCount: x.columnCount, for: next.weight) { rows, y in
            for row in rows { normalize(x.row(row), into: y + (row - rows.lowerBound) * x.columnCount) }
        }
    }

    private func normalize(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>) {
        compute.kernels.layer_norm(x, weight, bias, weight.count, epsilon, y)
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

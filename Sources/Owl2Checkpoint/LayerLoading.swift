import Owl2Tensor

extension Linear {
    /// Reads `weight` `[outputs, inputs]` and, if it has one, `bias` `[outputs]`.
    package init(
        _ scope: WeightScope, inputCount: Int, outputCount: Int, hasBias: Bool, compute: Compute
    ) {
        self.init(
            weight: scope.matrix("weight", rows: outputCount, columns: inputCount),
            bias: hasBias ? scope.vector("bias", count: outputCount) : nil, compute: compute)
    }
}

extension LayerNorm {
    /// Reads `weight` and `bias`, both `[width]`.
    package init(_ scope: WeightScope, width: Int, epsilon: Float, compute: Compute) {
        self.init(
            weight: scope.vector("weight", count: width), bias: scope.vector("bias", count: width), epsilon: epsilon,
            compute: compute)
    }
}

extension RMSNorm {
    /// Reads `weight` `[width]`.
    package init(_ scope: WeightScope, width: Int, epsilon: Float, compute: Compute) {
        self.init(weight: scope.vector("weight", count: width), epsilon: epsilon, compute: compute)
    }
}

extension WeightScope {
    /// Reads a small table as Float32, all but the last dimension as rows.
    package func table(_ name: String, shape: [Int]) -> Matrix {
        Self.rows(array(name, shape: shape), shape)
    }

    /// Reads a small table as Float32, or gives nil where the checkpoint has none.
    package func optionalTable(_ name: String, shape: [Int]) -> Matrix? {
        optionalArray(name, shape: shape).map { Self.rows($0, shape) }
    }

    /// A missing array is empty, and reported when loading ends.
    private static func rows(_ values: [Float], _ shape: [Int]) -> Matrix {
        let width = shape.last ?? 0
        return Matrix(rowCount: values.isEmpty ? 0 : values.count / width, columnCount: width, values: values)
    }
}

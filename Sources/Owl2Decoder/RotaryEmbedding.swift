import Foundation
import Owl2Tensor

/// Rotary positions (arXiv 2104.09864) on halves: the pair `(x_i, x_{i + d/2})` is turned by `position * base^(-2i / d)`.
///
/// Angles are rounded to Float32 where PyTorch rounds them.
struct RotaryEmbedding: Sendable {
    let dimension: Int
    let theta: Double
    let originalLength: Int
    let scaling: RotaryScaling?

    init(_ configuration: DecoderConfiguration) {
        dimension = configuration.headDimension
        theta = configuration.ropeTheta
        originalLength = configuration.maxPositionCount
        scaling = configuration.ropeScaling
    }

    /// Whether angles of all rows change when a sequence grows to this length.
    func dependsOnLength(_ length: Int) -> Bool {
        scaling?.kind == .dynamic && length > originalLength
    }

    /// The base for a sequence of a length. Under dynamic scaling by f past the original length m it is
    /// `theta * (f length / m - (f - 1))^(d / (d - 2))`.
    private func base(length: Int) -> Double {
        guard let scaling, dependsOnLength(length) else { return theta }
        let growth = scaling.factor * Double(length) / Double(originalLength) - (scaling.factor - 1)
        return theta * pow(growth, Double(dimension) / Double(dimension - 2))
    }

    /// The cosines and sines for rows of one forward pass.
    ///
    /// - Parameter rows: Each row's position and the length of its sequence.
    /// - Returns: Two matrices `[rows, d / 2]`.
    func tables(_ rows: [(position: Int, length: Int)]) -> (cosine: Matrix, sine: Matrix) {
        let half = dimension / 2
        let cosine = Matrix(uninitializedRows: rows.count, columns: half)
        let sine = Matrix(uninitializedRows: rows.count, columns: half)
        let divisor = Float(scaling?.kind == .linear ? scaling?.factor ?? 1 : 1)
        var frequencies: [Float] = [], frequencyLength = -1
        for (row, (position, length)) in rows.enumerated() {
            if frequencies.isEmpty || (length != frequencyLength && scaling?.kind == .dynamic) {
                let base = Double(Float(base(length: length)))
                frequencies = (0..<half).map { 1 / Float(pow(base, Double(Float(2 * $0) / Float(dimension)))) }
                frequencyLength = length
            }
            for index in 0..<half {
                let angle = Double(Float(position) / divisor * frequencies[index])
                cosine.row(row)[index] = Float(cos(angle))
                sine.row(row)[index] = Float(sin(angle))
            }
        }
        return (cosine, sine)
    }
}

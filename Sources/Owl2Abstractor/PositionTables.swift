import Foundation
import Owl2Tensor

/// The abstractor's sine and cosine tables, for checkpoints that do not store them.
///
/// A position p becomes `[sin(p w_0) … sin(p w_n), cos(p w_0) … cos(p w_n)]`, `w_i = 10000^(-i / (width / 2))`, computed in
/// Float32 as the authors do.
enum PositionTables {
    /// One-dimensional: row p is position p.
    ///
    /// - Returns: `[count, width]`.
    static func queries(count: Int, width: Int) -> Matrix {
        table(width: width, rows: (0..<count).map { [$0] })
    }

    /// Two-dimensional: a zero row for the class token, then the patches row by row. The first half of a row encodes the
    /// patch's column, the second half its row.
    ///
    /// - Returns: `[1 + grid * grid, width]`.
    static func patches(grid: Int, width: Int) -> Matrix {
        let cells = table(width: width, rows: (0..<grid * grid).map { [$0 % grid, $0 / grid] })
        let classRow = Matrix(rowCount: 1, columnCount: width, values: [Float](repeating: 0, count: width))
        return .stacking([classRow, cells], columns: width)
    }

    /// Each row holds the encodings of its positions, side by side.
    private static func table(width: Int, rows: [[Int]]) -> Matrix {
        let part = width / max(1, rows.first?.count ?? 1), half = part / 2
        let frequencies = (0..<half).map { 1 / Float(pow(10_000, Double(Float($0) / Float(half)))) }
        // a coordinate takes few values: each is encoded once
        let encodings = (0...(rows.joined().max() ?? 0)).map { position in
            let angles = frequencies.map { Double(Float(position) * $0) }
            return angles.map { Float(sin($0)) } + angles.map { Float(cos($0)) }
        }
        let values = rows.flatMap { positions in positions.flatMap { encodings[$0] } }
        return Matrix(rowCount: rows.count, columnCount: width, values: values)
    }
}

/// The tables of one model, computed when a layer first lacks one, and then shared by all that do.
final class ComputedPositions {
    private let configuration: AbstractorConfiguration

    init(_ configuration: AbstractorConfiguration) {
        self.configuration = configuration
    }

    /// Of the queries: `[queries, width]`.
    private(set) lazy var queries = PositionTables.queries(
        count: configuration.queryCount, width: configuration.hiddenSize)

    /// Of the encoder's rows: `[1 + patches, width]`.
    private(set) lazy var patches = PositionTables.patches(
        grid: configuration.gridSize, width: configuration.hiddenSize)
}

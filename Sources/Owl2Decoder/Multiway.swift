// Routing by modality: text rows and visual rows have norms, keys and values of their own.

import Owl2Checkpoint
import Owl2Tensor

/// What a row stands for.
public enum Modality: Int, Sendable {
    /// A token of text, given or generated.
    case text = 0
    /// A row of a picture.
    case visual = 1
}

/// Which rows of a forward pass belong to which modality.
struct ModalityRouting {
    let modalities: [Modality]
    let textRows: [Int]
    let visualRows: [Int]

    init(_ modalities: [Modality]) {
        self.modalities = modalities
        textRows = modalities.indices.filter { modalities[$0] == .text }
        visualRows = modalities.indices.filter { modalities[$0] == .visual }
    }
}

/// Two linear layers, of which each row goes through its modality's: the rows are split, not computed twice.
struct MultiwayLinear: Sendable {
    let text: Linear
    let visual: Linear

    init(_ scope: WeightScope, inputCount: Int, outputCount: Int, compute: Compute) {
        func branch(_ modality: Modality) -> Linear {
            Linear(
                scope["multiway"]["\(modality.rawValue)"], inputCount: inputCount, outputCount: outputCount,
                hasBias: false, compute: compute)
        }
        text = branch(.text)
        visual = branch(.visual)
    }

    /// The outputs of x, `[rows, inputs]`, of which only `use` has some columns of a row at a time, in multiples of `columnStep`.
    func withOutputs(
        of x: Matrix, _ routing: ModalityRouting, columnStep: Int,
        use: (_ row: Int, _ columns: Range<Int>, _ outputs: UnsafeMutablePointer<Float>) -> Void
    ) {
        for (layer, rows) in [(text, routing.textRows), (visual, routing.visualRows)] where !rows.isEmpty {
            let input = layer.input(rows.count == x.rowCount ? x : x.gathering(rows))
            layer.withOutputs(of: input, columnStep: columnStep) { some, columns, outputs, stride in
                for row in some { use(rows[row], columns, outputs + (row - some.lowerBound) * stride) }
            }
        }
    }
}

/// Two norms, of which each row goes through its modality's.
struct MultiwayRMSNorm: Sendable {
    let text: RMSNorm
    let visual: RMSNorm
    let compute: Compute

    init(_ scope: WeightScope, width: Int, epsilon: Float, compute: Compute) {
        func branch(_ modality: Modality) -> RMSNorm {
            RMSNorm(scope["multiway"]["\(modality.rawValue)"], width: width, epsilon: epsilon, compute: compute)
        }
        text = branch(.text)
        visual = branch(.visual)
        self.compute = compute
    }

    /// `[rows, width]` to the same shape.
    func callAsFunction(_ x: Matrix, _ routing: ModalityRouting) -> Matrix {
        let y = Matrix(uninitializedRows: x.rowCount, columns: x.columnCount)
        compute.forEachRow(of: x.rowCount, width: x.columnCount) { row in
            let norm = routing.modalities[row] == .text ? text : visual
            norm.normalize(x.row(row), into: y.row(row))
        }
        return y
    }
}

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

    /// `[rows, inputs]` to `[rows, outputs]`.
    func callAsFunction(_ x: Matrix, _ routing: ModalityRouting) -> Matrix {
        if routing.visualRows.isEmpty { return text(x) }
        if routing.textRows.isEmpty { return visual(x) }
        let y = Matrix(uninitializedRows: x.rowCount, columns: text.weight.rowCount)
        y.scatter(text(x.gathering(routing.textRows)), to: routing.textRows)
        y.scatter(visual(x.gathering(routing.visualRows)), to: routing.visualRows)
        return y
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

// The visual abstractor of mPLUG-Owl2 (arXiv 2311.04257): learned queries that read a picture by cross-attention.
//
// Per layer, with h the queries and v the visual encoder's rows, the same v in every layer:
//
//   n = norm1(h),  kv = [n; normk(v)]
//   x = n + out_proj(attention(n + q_pos, kv + [q_pos; k_pos], kv))     the residual is n, not h; values have no positions
//   h = x + w2(ffn_ln(silu(w1 y) * w3 y)),  y = norm2(x)
//
// Then visual_fc to the decoder's width, without a norm, and the learned end row behind each picture's queries.

import Owl2Checkpoint
import Owl2Core
import Owl2Tensor

/// norm1, normk and norm2 keep PyTorch's default; only ffn_ln takes the configuration's.
private let defaultEpsilon: Float = 1e-5

/// Multi-head attention from queries to queries and picture rows, with positions added to queries and keys.
struct AbstractorAttention: Sendable {
    let query: Linear
    let key: Linear
    let value: Linear
    let queryPositions: Matrix
    /// Of the queries and the encoder's rows: `[queries + 1 + patches, width]`.
    let keyPositions: Matrix
    let configuration: AbstractorConfiguration
    let compute: Compute

    init(
        _ scope: WeightScope, _ configuration: AbstractorConfiguration, _ computed: ComputedPositions,
        _ compute: Compute
    ) {
        let width = configuration.hiddenSize, queries = configuration.queryCount
        func projection(_ name: String) -> Linear {
            Linear(scope[name], inputCount: width, outputCount: width, hasBias: true, compute: compute)
        }
        query = projection("query")
        key = projection("key")
        value = projection("value")
        queryPositions = scope.optionalTable("q_pos_embed", shape: [queries, width]) ?? computed.queries
        let patchPositions =
            scope.optionalTable("k_pos_embed", shape: [configuration.encoderRowCount, width]) ?? computed.patches
        keyPositions = .stacking([queryPositions, patchPositions], columns: width)
        self.configuration = configuration
        self.compute = compute
    }

    /// - Parameters:
    ///   - queries: `[pictures * queries, width]`.
    ///   - keyValues: `[pictures * (queries + 1 + patches), width]`.
    /// - Returns: `[pictures * queries, width]`.
    func callAsFunction(queries: Matrix, keyValues: Matrix) -> Matrix {
        let dimension = configuration.headDimension
        let attention = PictureAttention(
            headCount: configuration.attentionHeadCount, headDimension: dimension,
            pictureCount: queries.rowCount / configuration.queryCount, rowsPerPicture: keyPositions.rowCount,
            projectedBy: key)
        func store(_ part: KeyValuePart, _ layer: Linear, of x: Matrix) {
            layer.withOutputs(of: layer.input(x), columnStep: dimension) { rows, columns, outputs, stride in
                attention.store(
                    part, outputs, stride: stride, headStride: dimension, rows: rows,
                    heads: columns.heads(columnsPerHead: dimension))
            }
        }
        store(.keys, key, of: compute.adding(keyPositions, toEveryGroupOf: keyValues))
        store(.values, value, of: keyValues)
        return attention(query(compute.adding(queryPositions, toEveryGroupOf: queries)))
    }
}

/// The gated feed-forward network with a norm inside: `w2(ffn_ln(silu(w1 x) * w3 x))`.
struct AbstractorMLP: Sendable {
    let w1: Linear
    let w2: Linear
    let w3: Linear
    let innerNorm: LayerNorm

    init(_ scope: WeightScope, _ configuration: AbstractorConfiguration, _ compute: Compute) {
        let width = configuration.hiddenSize, inner = configuration.intermediateSize
        w1 = Linear(scope["w1"], inputCount: width, outputCount: inner, hasBias: true, compute: compute)
        w2 = Linear(scope["w2"], inputCount: inner, outputCount: width, hasBias: true, compute: compute)
        w3 = Linear(scope["w3"], inputCount: width, outputCount: inner, hasBias: true, compute: compute)
        innerNorm = LayerNorm(
            scope["ffn_ln"], width: inner, epsilon: Float(configuration.layerNormEpsilon), compute: compute)
    }

    func add(_ x: Matrix, to y: Matrix) {
        let gate = w1(x)
        w3.multiply(x, intoSiLUOf: gate)
        w2.add(innerNorm(gate), to: y)
    }
}

/// One layer of the abstractor.
struct AbstractorLayer: Sendable {
    let norm1: LayerNorm
    let normk: LayerNorm
    let attention: AbstractorAttention
    let outProjection: Linear
    let norm2: LayerNorm
    let mlp: AbstractorMLP
    let configuration: AbstractorConfiguration

    init(
        _ scope: WeightScope, _ configuration: AbstractorConfiguration, _ computed: ComputedPositions,
        _ compute: Compute
    ) {
        let width = configuration.hiddenSize, output = scope["output"]
        norm1 = LayerNorm(scope["norm1"], width: width, epsilon: defaultEpsilon, compute: compute)
        normk = LayerNorm(scope["normk"], width: width, epsilon: defaultEpsilon, compute: compute)
        attention = AbstractorAttention(scope["attention"], configuration, computed, compute)
        outProjection = Linear(
            output["out_proj"], inputCount: width, outputCount: width, hasBias: true, compute: compute)
        norm2 = LayerNorm(output["norm2"], width: width, epsilon: defaultEpsilon, compute: compute)
        mlp = AbstractorMLP(output["mlp"], configuration, compute)
        self.configuration = configuration
    }

    /// Queries `[pictures * queries, width]` to the same shape.
    func callAsFunction(_ h: Matrix, features v: Matrix) -> Matrix {
        let x = norm1(h)
        let attended = attention(queries: x, keyValues: joining(x, normk(v)))
        outProjection.add(attended, to: x)
        mlp.add(norm2(x), to: x)
        return x
    }

    /// Each picture's queries, then its features: `[pictures * (queries + 1 + patches), width]`.
    private func joining(_ queries: Matrix, _ features: Matrix) -> Matrix {
        let queryRows = configuration.queryCount, featureRows = configuration.encoderRowCount
        let width = queries.columnCount
        let result = Matrix(uninitializedRows: queries.rowCount + features.rowCount, columns: width)
        for picture in 0..<queries.rowCount / queryRows {
            let target = result.row(picture * (queryRows + featureRows))
            target.update(from: queries.row(picture * queryRows), count: queryRows * width)
            (target + queryRows * width).update(
                from: features.row(picture * featureRows), count: featureRows * width)
        }
        return result
    }
}

/// The visual abstractor: a picture's features to a few rows of the decoder's width.
public struct VisualAbstractor: Sendable {
    /// The abstractor's shape.
    public let configuration: AbstractorConfiguration
    let queries: Matrix
    let layers: [AbstractorLayer]
    let projection: Linear
    let endRow: Matrix

    /// Takes the abstractor's weights from `model.visual_abstractor`.
    ///
    /// - Parameters:
    ///   - scope: The weights under that prefix. Missing ones are reported by the scope's loader.
    ///   - configuration: A valid configuration.
    ///   - outputWidth: The decoder's width.
    ///   - compute: What computes.
    package init(_ scope: WeightScope, configuration: AbstractorConfiguration, outputWidth: Int, compute: Compute) {
        let compute = compute.forPictures, width = configuration.hiddenSize
        queries = scope.table("query_embeds", shape: [1, configuration.queryCount, width])
        let computed = ComputedPositions(configuration)
        layers = (0..<configuration.hiddenLayerCount).map {
            AbstractorLayer(scope["encoder"]["layers"]["\($0)"]["crossattention"], configuration, computed, compute)
        }
        projection = Linear(
            scope["visual_fc"], inputCount: width, outputCount: outputWidth, hasBias: true, compute: compute)
        endRow = scope.table("vit_eos", shape: [1, 1, outputWidth])
        self.configuration = configuration
    }

    /// Summarises pictures.
    ///
    /// - Parameter features: The visual encoder's output, `[pictures * (1 + patches), width]`.
    /// - Returns: `[pictures * (queries + 1), output width]`; each picture's last row is the learned end row.
    /// - Throws: `CancellationError` when the task is cancelled, which is looked at before every layer.
    public func callAsFunction(_ features: Matrix) throws -> Matrix {
        let pictures = features.rowCount / configuration.encoderRowCount
        var h = Matrix.stacking(Array(repeating: queries, count: pictures), columns: queries.columnCount)
        for layer in layers {
            try Task.checkCancellation()
            h = layer(h, features: features)
        }
        let rows = projection(h), perPicture = configuration.queryCount
        let parts = (0..<pictures).flatMap { picture in
            [rows.gathering(Array(picture * perPicture..<(picture + 1) * perPicture)), endRow]
        }
        return .stacking(parts, columns: endRow.columnCount)
    }
}

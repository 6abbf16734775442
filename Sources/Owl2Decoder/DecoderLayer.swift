import Owl2Checkpoint
import Owl2Tensor

/// What the layers need to know of a forward pass beside the rows themselves.
struct ForwardPlan {
    let routing: ModalityRouting
    /// Cosines and sines of every row's position: `[rows, head dimension / 2]`.
    let cosine: Matrix
    let sine: Matrix
    /// Consecutive rows of one sequence, and its cache.
    let runs: [(rows: Range<Int>, firstPosition: Int, cache: KVCache)]
}

/// Causal self-attention with grouped heads, whose keys and values depend on the modality of the row they come from.
struct DecoderAttention: Sendable {
    let queryProjection: Linear
    let keyProjection: MultiwayLinear
    let valueProjection: MultiwayLinear
    let outputProjection: Linear
    let configuration: DecoderConfiguration
    let compute: Compute

    init(_ scope: WeightScope, _ configuration: DecoderConfiguration, _ compute: Compute) {
        let width = configuration.hiddenSize
        let keyValueWidth = configuration.keyValueHeadCount * configuration.headDimension
        queryProjection = Linear(
            scope["q_proj"], inputCount: width, outputCount: width, hasBias: false, compute: compute)
        keyProjection = MultiwayLinear(
            scope["k_proj"], inputCount: width, outputCount: keyValueWidth, compute: compute)
        valueProjection = MultiwayLinear(
            scope["v_proj"], inputCount: width, outputCount: keyValueWidth, compute: compute)
        outputProjection = Linear(
            scope["o_proj"], inputCount: width, outputCount: width, hasBias: false, compute: compute)
        self.configuration = configuration
        self.compute = compute
    }

    /// Adds the attention of x to y, both `[rows, width]`; the rows' keys and values are added to their caches.
    func add(_ x: Matrix, to y: Matrix, _ plan: ForwardPlan, layer: Int) {
        let dimension = configuration.headDimension
        let places = plan.runs.flatMap { run in
            let pages = run.cache.layers[layer]
            return pages.grow(by: run.rows.count).map(pages.place)
        }
        let rotation = Rotation(plan, dimension, compute)
        keyProjection.withOutputs(of: x, plan.routing, columnStep: dimension) { row, columns, key in
            let heads = columns.heads(columnsPerHead: dimension)
            rotation.turn(key, headCount: heads.count, row: row)
            compute.store(.keys, key, headStride: dimension, heads: heads, at: places[row])
        }
        valueProjection.withOutputs(of: x, plan.routing, columnStep: dimension) { row, columns, value in
            compute.store(
                .values, value, headStride: dimension, heads: columns.heads(columnsPerHead: dimension), at: places[row])
        }
        let queries = queryProjection(x, columnStep: dimension) { rows, columns, queries, stride in
            for row in rows {
                rotation.turn(
                    queries + (row - rows.lowerBound) * stride, headCount: columns.count / dimension, row: row)
            }
        }
        let groups = plan.runs.map { run in
            AttentionGroup(
                rows: run.rows, pages: run.cache.layers[layer], visibleKeys: run.firstPosition + 1, keysPerRow: 1)
        }
        let attended = compute.attention(queries, headCount: configuration.attentionHeadCount, groups: groups)
        outputProjection.add(attended, to: y)
    }
}

/// Turns heads of rows to their positions.
private struct Rotation {
    let cosine: Matrix
    let sine: Matrix
    let dimension: Int
    let compute: Compute

    init(_ plan: ForwardPlan, _ dimension: Int, _ compute: Compute) {
        (cosine, sine) = (plan.cosine, plan.sine)
        self.dimension = dimension
        self.compute = compute
    }

    /// Some heads of a row, one behind the other.
    func turn(_ x: UnsafeMutablePointer<Float>, headCount: Int, row: Int) {
        for head in 0..<headCount {
            compute.kernels.rotate_halves(x + head * dimension, cosine.row(row), sine.row(row), dimension / 2)
        }
    }
}

/// The gated feed-forward network: `down(silu(gate(x)) * up(x))`.
struct DecoderMLP: Sendable {
    let gateProjection: Linear
    let upProjection: Linear
    let downProjection: Linear

    init(_ scope: WeightScope, _ configuration: DecoderConfiguration, _ compute: Compute) {
        let width = configuration.hiddenSize, inner = configuration.intermediateSize
        gateProjection = Linear(
            scope["gate_proj"], inputCount: width, outputCount: inner, hasBias: false, compute: compute)
        upProjection = Linear(
            scope["up_proj"], inputCount: width, outputCount: inner, hasBias: false, compute: compute)
        downProjection = Linear(
            scope["down_proj"], inputCount: inner, outputCount: width, hasBias: false, compute: compute)
    }

    func add(_ x: Matrix, to y: Matrix) {
        downProjection.add(gateProjection.gating(upProjection, x, for: downProjection), to: y)
    }
}

/// A pre-norm layer: `x += attention(norm(x))`, `x += MLP(norm(x))`, each norm of the row's modality.
struct DecoderLayer: Sendable {
    let inputLayerNorm: MultiwayRMSNorm
    let attention: DecoderAttention
    let postAttentionLayerNorm: MultiwayRMSNorm
    let mlp: DecoderMLP

    init(_ scope: WeightScope, _ configuration: DecoderConfiguration, _ compute: Compute) {
        let width = configuration.hiddenSize, epsilon = Float(configuration.rmsNormEpsilon)
        inputLayerNorm = MultiwayRMSNorm(scope["input_layernorm"], width: width, epsilon: epsilon, compute: compute)
        attention = DecoderAttention(scope["self_attn"], configuration, compute)
        postAttentionLayerNorm = MultiwayRMSNorm(
            scope["post_attention_layernorm"], width: width, epsilon: epsilon, compute: compute)
        mlp = DecoderMLP(scope["mlp"], configuration, compute)
    }

    /// Changes x in place.
    func callAsFunction(_ x: Matrix, _ plan: ForwardPlan, layer: Int) {
        attention.add(inputLayerNorm(x, plan.routing), to: x, plan, layer: layer)
        mlp.add(postAttentionLayerNorm(x, plan.routing), to: x)
    }
}

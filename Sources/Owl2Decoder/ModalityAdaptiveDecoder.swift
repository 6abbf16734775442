// The modality-adaptive decoder of mPLUG-Owl2 (arXiv 2311.04257): LLaMA-2, whose norms, keys and values differ for text
// rows and visual rows.
//
//   h = norm_m(x),  q = h Wq,  k = h Wk_m,  v = h Wv_m                  m: the modality of the row
//   x = x + attention(rope(q), rope(k), v) Wo,  x = x + MLP(norm_m(x))
//   logits = norm(x) W

import Owl2Checkpoint
import Owl2Core
import Owl2Tensor

/// A row of a forward pass.
public struct DecoderRow: Sendable {
    /// Which of the pass's caches the row belongs to.
    public let sequence: Int
    /// The row's position in its sequence, from 0.
    public let position: Int
    /// What the row stands for.
    public let modality: Modality

    /// A row of a sequence.
    public init(sequence: Int, position: Int, modality: Modality) {
        self.sequence = sequence
        self.position = position
        self.modality = modality
    }
}

/// The modality-adaptive decoder: rows of any number of sequences to logits.
public struct ModalityAdaptiveDecoder: Sendable {
    /// Sees the input of every layer, then the normed output, `[rows, width]`, with the layer's index.
    public typealias HiddenObserver = (_ index: Int, _ rows: Matrix) -> Void

    /// The decoder's shape.
    public let configuration: DecoderConfiguration
    let embeddings: WeightMatrix
    let layers: [DecoderLayer]
    let norm: RMSNorm
    let head: Linear
    let rotary: RotaryEmbedding
    let keyValueType: KeyValueType
    let compute: Compute

    /// Takes the decoder's weights from `model.embed_tokens`, `model.layers`, `model.norm` and `lm_head`.
    ///
    /// - Parameters:
    ///   - scope: All weights. Missing ones are reported by the scope's loader.
    ///   - configuration: A valid configuration.
    ///   - keyValueType: How caches hold keys and values; nil for Float32 where the weights are floats, half precision
    ///     where they are quantised.
    ///   - compute: What computes.
    package init(
        _ scope: WeightScope, configuration: DecoderConfiguration, keyValueType: KeyValueType? = nil, compute: Compute
    ) {
        let width = configuration.hiddenSize, vocabulary = configuration.vocabularySize, model = scope["model"]
        embeddings = model["embed_tokens"].matrix("weight", rows: vocabulary, columns: width)
        layers = (0..<configuration.hiddenLayerCount).map {
            DecoderLayer(model["layers"]["\($0)"], configuration, compute)
        }
        norm = RMSNorm(
            model["norm"], width: width, epsilon: Float(configuration.rmsNormEpsilon), compute: compute)
        let isTied = configuration.tiesWordEmbeddings && !scope.contains("lm_head.weight")
        head =
            isTied
            ? Linear(weight: embeddings, compute: compute)
            : Linear(scope["lm_head"], inputCount: width, outputCount: vocabulary, hasBias: false, compute: compute)
        rotary = RotaryEmbedding(configuration)
        let isQuantized = layers.first?.attention.queryProjection.weight.elementType.isQuantized ?? false
        self.keyValueType = keyValueType ?? (isQuantized ? .f16 : .f32)
        self.configuration = configuration
        self.compute = compute
    }

    /// An empty cache for one sequence.
    public func makeCache() -> KVCache {
        KVCache(configuration, type: keyValueType)
    }

    /// The embeddings of tokens.
    ///
    /// - Parameter tokens: Ids of the vocabulary; one out of range is a programmer's error.
    /// - Returns: `[tokens, width]`.
    public func embed(_ tokens: [Int]) -> Matrix {
        compute.rows(tokens, of: embeddings)
    }

    /// Whether a prompt of this many rows must go through the decoder in one pass, as its positions depend on the length.
    public func needsOnePass(rowCount: Int) -> Bool {
        rotary.dependsOnLength(rowCount)
    }

    /// Runs rows through the decoder and adds them to their caches.
    ///
    /// Rows of one sequence stand together, in the order of their positions, which go on where the cache ends. If the pass
    /// throws, the caches are what they were.
    ///
    /// - Parameters:
    ///   - embeddings: The rows' inputs, `[rows, width]`.
    ///   - rows: What each row is.
    ///   - caches: The sequences' caches, by `DecoderRow.sequence`.
    ///   - logitRows: The rows whose logits are wanted.
    ///   - observer: Sees the hidden rows, or nothing.
    /// - Returns: Logits `[logitRows, vocabulary]`.
    /// - Throws: `CancellationError` when the task is cancelled, which is looked at before every layer.
    public func forward(
        _ embeddings: Matrix, rows: [DecoderRow], caches: [KVCache], logitRows: [Int], observer: HiddenObserver? = nil
    ) throws -> Matrix {
        precondition(embeddings.rowCount == rows.count && embeddings.columnCount == configuration.hiddenSize)
        let runs = sequenceRuns(rows, caches)
        let hidden =
            runs.contains { $0.cache.isStretched || rotary.dependsOnLength($0.cache.count + $0.rows.count) }
            ? try recompute(embeddings, rows, runs, observer)
            : try extend(embeddings, rows, runs, observer)
        if configuration.ropeScaling?.kind == .dynamic {
            for run in runs {
                run.cache.remember(embeddings.gathering(Array(run.rows)), run.rows.map { rows[$0].modality })
            }
        }
        return head(logitRows.count == hidden.rowCount ? hidden : hidden.gathering(logitRows))
    }

    private typealias Run = (rows: Range<Int>, firstPosition: Int, cache: KVCache)

    private func sequenceRuns(_ rows: [DecoderRow], _ caches: [KVCache]) -> [Run] {
        var runs: [Run] = []
        for (index, row) in rows.enumerated() {
            if index > 0, rows[index - 1].sequence == row.sequence, let last = runs.last {
                precondition(row.position == rows[index - 1].position + 1, "positions of a sequence must follow")
                runs[runs.count - 1].rows = last.rows.lowerBound..<index + 1
            } else {
                precondition(row.position == caches[row.sequence].count, "rows must go on where the cache ends")
                runs.append((index..<index + 1, row.position, caches[row.sequence]))
            }
        }
        return runs
    }

    /// Adds rows to what the caches hold: `[rows, width]`, normed.
    private func extend(
        _ embeddings: Matrix, _ rows: [DecoderRow], _ runs: [Run], _ observer: HiddenObserver?
    ) throws -> Matrix {
        let lengths = runs.flatMap { run in run.rows.map { _ in run.firstPosition + run.rows.count } }
        let (cosine, sine) = rotary.tables(zip(rows, lengths).map { ($0.position, $1) })
        let plan = ForwardPlan(routing: ModalityRouting(rows.map(\.modality)), cosine: cosine, sine: sine, runs: runs)
        let x = embeddings.gathering(Array(0..<rows.count))
        do {
            for (index, layer) in layers.enumerated() {
                try Task.checkCancellation()
                observer?(index, x)
                layer(x, plan, layer: index)
            }
        } catch {
            for run in runs { run.cache.truncate(to: run.firstPosition) }
            throw error
        }
        let normed = norm(x)
        observer?(layers.count, normed)
        return normed
    }

    /// Computes the sequences from their first row on, as a new length has changed the positions of all rows: what earlier
    /// rows hand to later ones is another thing now in every layer, so turning the cached keys would not do.
    private func recompute(
        _ embeddings: Matrix, _ rows: [DecoderRow], _ runs: [Run], _ observer: HiddenObserver?
    ) throws -> Matrix {
        var inputs: [Matrix] = [], allRows: [DecoderRow] = [], newRuns: [Run] = [], wanted: [Int] = []
        for (sequence, run) in runs.enumerated() {
            let start = allRows.count
            let earlier = run.cache.inputs.flatMap(\.modalities)
            inputs += run.cache.inputs.map(\.embeddings) + [embeddings.gathering(Array(run.rows))]
            for (position, modality) in (earlier + run.rows.map { rows[$0].modality }).enumerated() {
                allRows.append(DecoderRow(sequence: sequence, position: position, modality: modality))
            }
            newRuns.append((start..<allRows.count, 0, run.cache.emptyTwin()))
            wanted += Array(allRows.count - run.rows.count..<allRows.count)
        }
        let hidden = try extend(
            .stacking(inputs, columns: embeddings.columnCount), allRows, newRuns,
            observer.map { observer in { index, rows in observer(index, rows.gathering(wanted)) } })
        for (run, newRun) in zip(runs, newRuns) {
            run.cache.takeLayers(of: newRun.cache)
            run.cache.isStretched = rotary.dependsOnLength(newRun.cache.count)
        }
        return hidden.gathering(wanted)
    }
}

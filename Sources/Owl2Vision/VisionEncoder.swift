// The visual encoder of mPLUG-Owl2 (arXiv 2311.04257): a ViT-L/14.
//
//   x = layer_norm([class; patches W] + positions)
//   x = x + attention(layer_norm(x)),  x = x + MLP(layer_norm(x))      for every block
//   y = layer_norm(x)                                                  over all rows; the class row is kept

import Owl2Checkpoint
import Owl2Core
import Owl2Tensor

/// Self-attention over the rows of one picture, without a mask.
///
/// The fused projection is laid out head by head, `[heads, 3, head dimension]`: a head's query, key and value are
/// neighbours.
struct VisionAttention: Sendable {
    let queryKeyValue: Linear
    let dense: Linear
    let configuration: VisionConfiguration

    init(_ scope: WeightScope, _ configuration: VisionConfiguration, _ compute: Compute) {
        let width = configuration.hiddenSize
        queryKeyValue = Linear(
            scope["query_key_value"], inputCount: width, outputCount: 3 * width, hasBias: true, compute: compute)
        dense = Linear(scope["dense"], inputCount: width, outputCount: width, hasBias: true, compute: compute)
        self.configuration = configuration
    }

    /// Adds the attention of x to y, both `[images * rows, width]`.
    func add(_ x: ProductInput, to y: Matrix) {
        let dimension = configuration.headDimension, stride = 3 * dimension
        let queries = Matrix(uninitializedRows: x.rowCount, columns: configuration.hiddenSize)
        let attention = PictureAttention(
            headCount: configuration.attentionHeadCount, headDimension: dimension,
            pictureCount: x.rowCount / configuration.rowCount, rowsPerPicture: configuration.rowCount,
            projectedBy: queryKeyValue)
        queryKeyValue.withOutputs(of: x, columnStep: stride) { rows, columns, outputs, rowStride in
            let heads = columns.heads(columnsPerHead: stride)
            queries.takeHeads(outputs, stride: rowStride, headStride: stride, rows: rows, heads: heads, dimension)
            attention.store(
                .keys, outputs + dimension, stride: rowStride, headStride: stride, rows: rows, heads: heads)
            attention.store(
                .values, outputs + 2 * dimension, stride: rowStride, headStride: stride, rows: rows, heads: heads)
        }
        dense.add(attention(queries), to: y)
    }
}

/// The feed-forward network: `fc2(activation(fc1(x)))`.
struct VisionMLP: Sendable {
    let fc1: Linear
    let fc2: Linear
    let activation: Activation

    init(_ scope: WeightScope, _ configuration: VisionConfiguration, _ compute: Compute) {
        let width = configuration.hiddenSize, inner = configuration.intermediateSize
        fc1 = Linear(scope["fc1"], inputCount: width, outputCount: inner, hasBias: true, compute: compute)
        fc2 = Linear(scope["fc2"], inputCount: inner, outputCount: width, hasBias: true, compute: compute)
        activation = configuration.hiddenActivation
    }

    func add(_ x: ProductInput, to y: Matrix) {
        fc2.add(fc1(x, activation, for: fc2), to: y)
    }
}

/// A pre-norm block: `x += attention(norm(x))`, `x += MLP(norm(x))`.
struct VisionBlock: Sendable {
    let inputLayerNorm: LayerNorm
    let attention: VisionAttention
    let postAttentionLayerNorm: LayerNorm
    let mlp: VisionMLP

    init(_ scope: WeightScope, _ configuration: VisionConfiguration, _ compute: Compute) {
        let width = configuration.hiddenSize, epsilon = Float(configuration.layerNormEpsilon)
        inputLayerNorm = LayerNorm(scope["input_layernorm"], width: width, epsilon: epsilon, compute: compute)
        attention = VisionAttention(scope["self_attn"], configuration, compute)
        postAttentionLayerNorm = LayerNorm(
            scope["post_attention_layernorm"], width: width, epsilon: epsilon, compute: compute)
        mlp = VisionMLP(scope["mlp"], configuration, compute)
    }

    /// Changes x in place.
    func callAsFunction(_ x: Matrix) {
        attention.add(inputLayerNorm(x, for: attention.queryKeyValue), to: x)
        mlp.add(postAttentionLayerNorm(x, for: mlp.fc1), to: x)
    }
}

/// The visual encoder: normalised pixels to one feature row per patch, and one for the class token.
public struct VisionEncoder: Sendable {
    /// The encoder's shape.
    public let configuration: VisionConfiguration
    let patchEmbedding: Linear
    let classToken: [Float]
    let positions: Matrix
    let preLayerNorm: LayerNorm
    let blocks: [VisionBlock]
    let postLayerNorm: LayerNorm
    let compute: Compute

    /// Takes the encoder's weights from `model.vision_model`.
    ///
    /// - Parameters:
    ///   - scope: The weights under that prefix. Missing ones are reported by the scope's loader.
    ///   - configuration: A valid configuration.
    ///   - compute: What computes.
    package init(_ scope: WeightScope, configuration: VisionConfiguration, compute: Compute) {
        let compute = compute.forPictures
        let width = configuration.hiddenSize, patch = configuration.patchSize
        let epsilon = Float(configuration.layerNormEpsilon)
        let embeddings = scope["embeddings"]
        // the convolution's stride is its size: a product with the flattened kernel, without a bias
        patchEmbedding = Linear(
            weight: embeddings["patch_embed"].matrix(
                "weight", shape: [width, configuration.channelCount, patch, patch]),
            compute: compute)
        classToken = embeddings.array("cls_token", shape: [1, 1, width])
        positions = embeddings.table("position_embedding", shape: [1, configuration.rowCount, width])
        preLayerNorm = LayerNorm(embeddings["pre_layernorm"], width: width, epsilon: epsilon, compute: compute)
        blocks = (0..<configuration.hiddenLayerCount).map {
            VisionBlock(scope["encoder"]["layers"]["\($0)"], configuration, compute)
        }
        postLayerNorm = LayerNorm(scope["post_layernorm"], width: width, epsilon: epsilon, compute: compute)
        self.configuration = configuration
        self.compute = compute
    }

    /// Encodes pictures.
    ///
    /// - Parameter pixels: One array per picture, `[3, S, S]` by channel, row and column, normalised.
    /// - Returns: Features `[pictures * (1 + patches), width]`; each picture's class row comes first.
    /// - Throws: `CancellationError` when the task is cancelled, which is looked at before every block.
    public func callAsFunction(_ pixels: [[Float]]) throws -> Matrix {
        let x = preLayerNorm(compute.adding(positions, toEveryGroupOf: embed(pixels)))
        for block in blocks {
            try Task.checkCancellation()
            block(x)
        }
        return postLayerNorm(x)
    }

    /// `[class; patches W]` for every picture: `[pictures * (1 + patches), width]`.
    private func embed(_ pixels: [[Float]]) -> Matrix {
        let rows = configuration.rowCount
        let embedded = patchEmbedding(patches(pixels))
        let x = Matrix(uninitializedRows: pixels.count * rows, columns: configuration.hiddenSize)
        for image in pixels.indices {
            x.row(image * rows).update(from: classToken, count: classToken.count)
            x.row(image * rows + 1).update(
                from: embedded.row(image * (rows - 1)), count: (rows - 1) * configuration.hiddenSize)
        }
        return x
    }

    /// The patches' pixels by channel, row and column: `[pictures * patches, 3 * patch * patch]`.
    private func patches(_ pixels: [[Float]]) -> Matrix {
        let size = configuration.imageSize, patch = configuration.patchSize, grid = size / patch
        let channels = configuration.channelCount
        let result = Matrix(
            uninitializedRows: pixels.count * grid * grid, columns: channels * patch * patch)
        for (image, values) in pixels.enumerated() {
            precondition(values.count == channels * size * size, "\(values.count) pixel values")
            values.withUnsafeBufferPointer { source in
                for index in 0..<grid * grid {
                    let target = result.row(image * grid * grid + index)
                    for line in 0..<channels * patch {
                        let (channel, y) = line.quotientAndRemainder(dividingBy: patch)
                        let from = (channel * size + index / grid * patch + y) * size + index % grid * patch
                        for x in 0..<patch { target[line * patch + x] = source[from + x] }
                    }
                }
            }
        }
        return result
    }
}

import Owl2Checkpoint
import Owl2Tensor

/// How many operations and bytes of weights the model's work takes: multiplication and addition for every weight and
/// row, attention aside.
struct WorkCounts {
    /// Weights that each row of text meets in the decoder's layers.
    private(set) var layerWeightCount = 0
    /// Weights of the head, which a row meets whose logits are wanted.
    private(set) var headWeightCount = 0
    /// Bytes of weights that a step of decoding reads.
    private(set) var stepByteCount = 0
    /// Operations of one picture.
    private(set) var imageOperationCount = 0.0
    /// The type that most of the layers' weights have.
    private(set) var elementType = ElementType.float32

    init(_ checkpoint: Checkpoint, _ configuration: ModelConfiguration) {
        var bytesByType: [ElementType: Int] = [:]
        let headKey = checkpoint.tensors["lm_head.weight"] == nil ? "model.embed_tokens.weight" : "lm_head.weight"
        for (key, tensor) in checkpoint.tensors {
            let isMatrix = tensor.shape.count > 1
            if key == headKey {
                headWeightCount = tensor.elementCount
                stepByteCount += tensor.byteCount
            } else if key.hasPrefix("model.layers.") && !key.contains(".multiway.1.") {
                if isMatrix { layerWeightCount += tensor.elementCount }
                stepByteCount += tensor.byteCount
                if let type = tensor.elementType { bytesByType[type, default: 0] += tensor.byteCount }
            } else if isMatrix, key.hasSuffix(".weight") {
                imageOperationCount += 2 * Double(tensor.elementCount) * Double(Self.imageRows(key, configuration))
            }
        }
        elementType = bytesByType.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key ?? .float32
    }

    /// The rows of one picture that meet a weight of the visual encoder or the abstractor.
    private static func imageRows(_ key: String, _ configuration: ModelConfiguration) -> Int {
        let vision = configuration.vision, abstractor = configuration.abstractor
        if key.hasPrefix("model.vision_model.") {
            return key.contains(".patch_embed.") ? vision.patchCount : vision.rowCount
        }
        guard key.hasPrefix("model.visual_abstractor.") else { return 0 }
        let readsPicture = key.hasSuffix(".attention.key.weight") || key.hasSuffix(".attention.value.weight")
        return abstractor.queryCount + (readsPicture ? abstractor.encoderRowCount : 0)
    }

    /// Operations of a prompt, whose last row alone needs logits.
    func prefillOperationCount(rows: Int) -> Double {
        2 * (Double(rows) * Double(layerWeightCount) + Double(headWeightCount))
    }

    /// What limits products of many rows.
    func productBound(_ backend: ComputeBackend) -> BenchmarkResult.Bound {
        backend == .own && elementType.isQuantized ? .int8 : .float32
    }
}

import Owl2Tensor

/// The keys and values of one sequence in all layers, in pages of a fixed number of rows.
///
/// A cache belongs to one sequence, and one forward pass at a time.
public final class KVCache: @unchecked Sendable {
    // Unchecked: whoever generates with a cache owns it; see above.
    private(set) var layers: [KeyValuePages]
    /// The input rows, kept only where positions depend on the sequence's length.
    private(set) var inputs: [(embeddings: Matrix, modalities: [Modality])] = []
    private let layerCount: Int
    private let keyValueHeadCount: Int
    private let headDimension: Int

    /// An empty cache for a decoder of the given shape.
    public init(_ configuration: DecoderConfiguration) {
        layerCount = configuration.hiddenLayerCount
        keyValueHeadCount = configuration.keyValueHeadCount
        headDimension = configuration.headDimension
        layers = Self.emptyLayers(layerCount, keyValueHeadCount, headDimension)
    }

    private static func emptyLayers(_ count: Int, _ heads: Int, _ dimension: Int) -> [KeyValuePages] {
        (0..<count).map { _ in KeyValuePages(headCount: heads, headDimension: dimension) }
    }

    /// Rows of the sequence so far.
    public var count: Int { layers.last?.count ?? 0 }

    /// Bytes of all pages.
    public var byteCount: Int { layers.reduce(0) { $0 + $1.byteCount } }

    /// Forgets the rows from `newCount` on, as if they had never been computed.
    public func truncate(to newCount: Int) {
        for layer in layers where layer.count > newCount { layer.truncate(to: newCount) }
        var kept = 0
        inputs = inputs.compactMap { input in
            let rows = min(input.modalities.count, newCount - kept)
            kept += max(0, rows)
            guard rows > 0 else { return nil }
            return (input.embeddings.gathering(Array(0..<rows)), Array(input.modalities.prefix(rows)))
        }
    }

    func remember(_ embeddings: Matrix, _ modalities: [Modality]) {
        inputs.append((embeddings, modalities))
    }

    /// An empty cache of the same shape, for computing all rows anew.
    func emptyTwin() -> KVCache {
        KVCache(layerCount, keyValueHeadCount, headDimension)
    }

    private init(_ layerCount: Int, _ keyValueHeadCount: Int, _ headDimension: Int) {
        self.layerCount = layerCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headDimension = headDimension
        layers = Self.emptyLayers(layerCount, keyValueHeadCount, headDimension)
    }

    /// Takes the rows of a twin.
    func takeLayers(of twin: KVCache) {
        layers = twin.layers
    }
}

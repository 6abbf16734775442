import Owl2Tensor

/// The keys and values of one sequence in all layers, in pages of a fixed number of rows.
///
/// A cache belongs to one sequence, and one forward pass at a time.
public final class KVCache: @unchecked Sendable {
    // Unchecked: whoever generates with a cache owns it; see above.
    private(set) var layers: [KeyValuePages]
    /// The input rows, kept only where positions depend on the sequence's length.
    private(set) var inputs: [(embeddings: Matrix, modalities: [Modality])] = []
    /// Whether positions were those of a sequence past the original length, so that a shorter one has others.
    var isStretched = false
    private let layerCount: Int
    private let keyValueHeadCount: Int
    private let headDimension: Int
    /// How keys and values are held.
    public let type: KeyValueType

    /// An empty cache for a decoder of the given shape.
    ///
    /// - Parameters:
    ///   - configuration: The decoder's shape.
    ///   - type: How to hold keys and values.
    public convenience init(_ configuration: DecoderConfiguration, type: KeyValueType = .f32) {
        self.init(
            configuration.hiddenLayerCount, configuration.keyValueHeadCount, configuration.headDimension, type)
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
            if rows == input.modalities.count { return input }
            return (input.embeddings.gathering(Array(0..<rows)), Array(input.modalities.prefix(rows)))
        }
    }

    func remember(_ embeddings: Matrix, _ modalities: [Modality]) {
        inputs.append((embeddings, modalities))
    }

    /// An empty cache of the same shape, for computing all rows anew.
    func emptyTwin() -> KVCache {
        KVCache(layerCount, keyValueHeadCount, headDimension, type)
    }

    private init(_ layerCount: Int, _ keyValueHeadCount: Int, _ headDimension: Int, _ type: KeyValueType) {
        self.layerCount = layerCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headDimension = headDimension
        self.type = type
        layers = (0..<layerCount).map { _ in
            KeyValuePages(headCount: keyValueHeadCount, headDimension: headDimension, storage: .init(type))
        }
    }

    /// Takes the rows of a twin.
    func takeLayers(of twin: KVCache) {
        layers = twin.layers
    }
}

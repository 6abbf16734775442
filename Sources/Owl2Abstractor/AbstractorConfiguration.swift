import Owl2Core

/// The shape of the visual abstractor: `visual_config.visual_abstractor` of `config.json`. Absent fields have the values
/// of the published model.
public struct AbstractorConfiguration: Codable, Sendable, Equatable {
    /// Width of a query row.
    public var hiddenSize = 1024
    /// Width of the visual encoder's rows.
    public var encoderHiddenSize = 1024
    /// Width inside the feed-forward network.
    public var intermediateSize = 2816
    /// Number of layers.
    public var hiddenLayerCount = 6
    /// Heads of cross-attention.
    public var attentionHeadCount = 16
    /// Learned queries: rows that a picture is summarised into, before the end row.
    public var queryCount = 64
    /// Patches along an edge of the picture.
    public var gridSize = 32
    /// Added to the variance in the feed-forward network's normalisation. The other ones always take 1e-5.
    public var layerNormEpsilon = 1e-6
    /// Whether the encoder's rows begin with a class row; they must.
    public var usesClassToken = true

    enum CodingKeys: String, CodingKey {
        case hiddenSize = "hidden_size"
        case encoderHiddenSize = "encoder_hidden_size"
        case intermediateSize = "intermediate_size"
        case hiddenLayerCount = "num_hidden_layers"
        case attentionHeadCount = "num_attention_heads"
        case queryCount = "num_learnable_queries"
        case gridSize = "grid_size"
        case layerNormEpsilon = "layer_norm_eps"
        case usesClassToken = "use_cls_token"
    }

    /// The published model's shape.
    public init() {}

    /// Reads the fields that are present.
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        try fields.read(.hiddenSize, into: &hiddenSize)
        try fields.read(.encoderHiddenSize, into: &encoderHiddenSize)
        try fields.read(.intermediateSize, into: &intermediateSize)
        try fields.read(.hiddenLayerCount, into: &hiddenLayerCount)
        try fields.read(.attentionHeadCount, into: &attentionHeadCount)
        try fields.read(.queryCount, into: &queryCount)
        try fields.read(.gridSize, into: &gridSize)
        try fields.read(.layerNormEpsilon, into: &layerNormEpsilon)
        try fields.read(.usesClassToken, into: &usesClassToken)
    }

    /// Rows of the visual encoder: the class row and the patches.
    public var encoderRowCount: Int { 1 + gridSize * gridSize }
    /// Rows that a picture becomes: the queries and the end row.
    public var outputRowCount: Int { queryCount + 1 }
    /// Columns of a head.
    public var headDimension: Int { hiddenSize / attentionHeadCount }

    /// Checks that the numbers make sense together.
    ///
    /// - Throws: `Owl2Error` (`invalidConfiguration`) with the key, what was expected and what was found.
    public func validate() throws {
        let checks = ConfigurationChecks(object: "visual_config.visual_abstractor")
        try checks.positive("hidden_size", hiddenSize, atMost: 1 << 16)
        try checks.positive("encoder_hidden_size", encoderHiddenSize, atMost: 1 << 16)
        // keys are projected from queries and encoder rows together, so both have one width
        try checks.only("encoder_hidden_size", encoderHiddenSize, hiddenSize)
        try checks.positive("intermediate_size", intermediateSize, atMost: 1 << 18)
        try checks.positive("num_hidden_layers", hiddenLayerCount, atMost: 1024)
        try checks.positive("num_attention_heads", attentionHeadCount, atMost: 1024)
        try checks.multiple("hidden_size", hiddenSize, of: "num_attention_heads", attentionHeadCount)
        try checks.multiple("hidden_size", hiddenSize, of: "four, for two-dimensional positions,", 4)
        try checks.positive("num_learnable_queries", queryCount, atMost: 1 << 14)
        try checks.positive("grid_size", gridSize, atMost: 256)
        try checks.finite("layer_norm_eps", layerNormEpsilon, 0...1)
        try checks.only("use_cls_token", usesClassToken, true)
    }
}

import Owl2Core

/// How rotary positions are stretched beyond the length that the model was trained for: `rope_scaling` of `config.json`.
public struct RotaryScaling: Codable, Sendable, Equatable {
    /// The way of stretching.
    public enum Kind: String, Codable, Sendable {
        /// Positions are divided by the factor.
        case linear
        /// Past the original length the base grows with the length.
        case dynamic
    }

    /// The way of stretching.
    public var kind: Kind
    /// How many times the original length the context becomes.
    public var factor: Double

    enum CodingKeys: String, CodingKey {
        case kind = "type"
        case factor
    }

    /// A scaling by the given factor.
    public init(kind: Kind, factor: Double) {
        self.kind = kind
        self.factor = factor
    }
}

/// The shape of the modality-adaptive decoder: the top level of `config.json`. Absent fields have the values of the
/// published model.
public struct DecoderConfiguration: Codable, Sendable, Equatable {
    /// Entries of the vocabulary.
    public var vocabularySize = 32_000
    /// Width of a row.
    public var hiddenSize = 4096
    /// Width inside the feed-forward network.
    public var intermediateSize = 11_008
    /// Number of layers.
    public var hiddenLayerCount = 32
    /// Query heads.
    public var attentionHeadCount = 32
    /// Key and value heads; as many as query heads if absent.
    public var keyValueHeadCount = 32
    /// Positions that the model was trained for.
    public var maxPositionCount = 2048
    /// Added to mean squares in normalisations.
    public var rmsNormEpsilon = 1e-6
    /// The base of rotary angles.
    public var ropeTheta = 10_000.0
    /// How rotary positions are stretched, or nothing.
    public var ropeScaling: RotaryScaling?
    /// The activation of the feed-forward network; `silu`.
    public var hiddenActivation = "silu"
    /// Whether attention's projections have a bias; they have none.
    public var hasAttentionBias = false
    /// Whether logits are computed with the embedding table.
    public var tiesWordEmbeddings = false

    enum CodingKeys: String, CodingKey {
        case vocabularySize = "vocab_size"
        case hiddenSize = "hidden_size"
        case intermediateSize = "intermediate_size"
        case hiddenLayerCount = "num_hidden_layers"
        case attentionHeadCount = "num_attention_heads"
        case keyValueHeadCount = "num_key_value_heads"
        case maxPositionCount = "max_position_embeddings"
        case rmsNormEpsilon = "rms_norm_eps"
        case ropeTheta = "rope_theta"
        case ropeScaling = "rope_scaling"
        case hiddenActivation = "hidden_act"
        case hasAttentionBias = "attention_bias"
        case tiesWordEmbeddings = "tie_word_embeddings"
    }

    /// The published model's shape.
    public init() {}

    /// Reads the fields that are present.
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        try fields.read(.vocabularySize, into: &vocabularySize)
        try fields.read(.hiddenSize, into: &hiddenSize)
        try fields.read(.intermediateSize, into: &intermediateSize)
        try fields.read(.hiddenLayerCount, into: &hiddenLayerCount)
        try fields.read(.attentionHeadCount, into: &attentionHeadCount)
        keyValueHeadCount = attentionHeadCount
        try fields.read(.keyValueHeadCount, into: &keyValueHeadCount)
        try fields.read(.maxPositionCount, into: &maxPositionCount)
        try fields.read(.rmsNormEpsilon, into: &rmsNormEpsilon)
        try fields.read(.ropeTheta, into: &ropeTheta)
        try fields.read(.ropeScaling, into: &ropeScaling)
        try fields.read(.hiddenActivation, into: &hiddenActivation)
        try fields.read(.hasAttentionBias, into: &hasAttentionBias)
        try fields.read(.tiesWordEmbeddings, into: &tiesWordEmbeddings)
    }

    /// Columns of a head.
    public var headDimension: Int { hiddenSize / attentionHeadCount }

    /// Rows that a sequence may have: prompt, pictures and answer together.
    public var contextLength: Int { Int(Double(maxPositionCount) * (ropeScaling?.factor ?? 1)) }

    /// Checks that the numbers make sense together.
    ///
    /// - Throws: `Owl2Error` (`invalidConfiguration`) with the key, what was expected and what was found.
    public func validate() throws {
        let checks = ConfigurationChecks()
        try checks.positive("vocab_size", vocabularySize, atMost: 1 << 22)
        try checks.positive("hidden_size", hiddenSize, atMost: 1 << 16)
        try checks.positive("intermediate_size", intermediateSize, atMost: 1 << 18)
        try checks.positive("num_hidden_layers", hiddenLayerCount, atMost: 1024)
        try checks.positive("num_attention_heads", attentionHeadCount, atMost: 1024)
        try checks.multiple("hidden_size", hiddenSize, of: "num_attention_heads", attentionHeadCount)
        try checks.multiple("hidden_size / num_attention_heads", headDimension, of: "two, for rotary pairs", 2)
        try checks.positive("num_key_value_heads", keyValueHeadCount, atMost: attentionHeadCount)
        try checks.divisor("num_key_value_heads", keyValueHeadCount, of: "num_attention_heads", attentionHeadCount)
        try checks.positive("max_position_embeddings", maxPositionCount, atMost: 1 << 22)
        try checks.finite("rms_norm_eps", rmsNormEpsilon, 0...1)
        try checks.finite("rope_theta", ropeTheta, 1...1e12)
        if let ropeScaling {
            try checks.finite("rope_scaling.factor", ropeScaling.factor, 1...1024)
            if ropeScaling.kind == .dynamic {
                // the base is raised to d / (d - 2)
                try checks.positive(
                    "hidden_size / num_attention_heads, less two for dynamic scaling,", headDimension - 2,
                    atMost: 1 << 16)
            }
        }
        try checks.only("hidden_act", hiddenActivation, "silu")
        try checks.only("attention_bias", hasAttentionBias, false)
    }
}

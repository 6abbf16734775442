import Owl2Core
import Owl2Tensor

/// The shape of the visual encoder: `visual_config.visual_model` of `config.json`. Absent fields have the values of the
/// published model.
public struct VisionConfiguration: Codable, Sendable, Equatable {
    /// Width of a row.
    public var hiddenSize = 1024
    /// Width inside the feed-forward network.
    public var intermediateSize = 4096
    /// Number of blocks.
    public var hiddenLayerCount = 24
    /// Heads of self-attention.
    public var attentionHeadCount = 16
    /// Height and width of a picture in pixels.
    public var imageSize = 448
    /// Height and width of a patch in pixels.
    public var patchSize = 14
    /// The activation of the feed-forward network.
    public var hiddenActivation = Activation.quickGELU
    /// Added to variances in normalisations.
    public var layerNormEpsilon = 1e-6
    /// Colour channels; three.
    public var channelCount = 3
    /// Whether a class row stands in front of the patches; it must.
    public var usesClassToken = true
    /// Whether the output is normalised; it must be.
    public var usesPostLayerNorm = true

    enum CodingKeys: String, CodingKey {
        case hiddenSize = "hidden_size"
        case intermediateSize = "intermediate_size"
        case hiddenLayerCount = "num_hidden_layers"
        case attentionHeadCount = "num_attention_heads"
        case imageSize = "image_size"
        case patchSize = "patch_size"
        case hiddenActivation = "hidden_act"
        case layerNormEpsilon = "layer_norm_eps"
        case channelCount = "num_channels"
        case usesClassToken = "use_cls_token"
        case usesPostLayerNorm = "use_post_layernorm"
    }

    /// The published model's shape.
    public init() {}

    /// Reads the fields that are present.
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        try fields.read(.hiddenSize, into: &hiddenSize)
        try fields.read(.intermediateSize, into: &intermediateSize)
        try fields.read(.hiddenLayerCount, into: &hiddenLayerCount)
        try fields.read(.attentionHeadCount, into: &attentionHeadCount)
        try fields.read(.imageSize, into: &imageSize)
        try fields.read(.patchSize, into: &patchSize)
        try fields.read(.hiddenActivation, into: &hiddenActivation)
        try fields.read(.layerNormEpsilon, into: &layerNormEpsilon)
        try fields.read(.channelCount, into: &channelCount)
        try fields.read(.usesClassToken, into: &usesClassToken)
        try fields.read(.usesPostLayerNorm, into: &usesPostLayerNorm)
    }

    /// Patches of a picture.
    public var patchCount: Int { (imageSize / patchSize) * (imageSize / patchSize) }
    /// Rows of a picture: the class row and the patches.
    public var rowCount: Int { 1 + patchCount }
    /// Columns of a head.
    public var headDimension: Int { hiddenSize / attentionHeadCount }

    /// Checks that the numbers make sense together.
    ///
    /// - Throws: `Owl2Error` (`invalidConfiguration`) with the key, what was expected and what was found.
    public func validate() throws {
        let checks = ConfigurationChecks(object: "visual_config.visual_model")
        try checks.positive("hidden_size", hiddenSize, atMost: 1 << 16)
        try checks.positive("intermediate_size", intermediateSize, atMost: 1 << 18)
        try checks.positive("num_hidden_layers", hiddenLayerCount, atMost: 1024)
        try checks.positive("num_attention_heads", attentionHeadCount, atMost: 1024)
        try checks.multiple("hidden_size", hiddenSize, of: "num_attention_heads", attentionHeadCount)
        try checks.positive("patch_size", patchSize, atMost: 1024)
        try checks.positive("image_size", imageSize, atMost: 8192)
        try checks.multiple("image_size", imageSize, of: "patch_size", patchSize)
        try checks.positive("image_size / patch_size", imageSize / patchSize, atMost: 256)
        try checks.finite("layer_norm_eps", layerNormEpsilon, 0...1)
        try checks.only("num_channels", channelCount, 3)
        try checks.only("use_cls_token", usesClassToken, true)
        try checks.only("use_post_layernorm", usesPostLayerNorm, true)
    }
}

import Owl2Core
import Owl2Tensor

/// The type in which a GGUF file holds most of a model's weights.
public enum WeightType: String, Sendable, CaseIterable {
    /// Half precision.
    case f16
    /// The upper half of Float32.
    case bf16
    /// 8 bits in blocks of 32: all but exact, half of the size of `f16`.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q8_0
    /// 4 bits in blocks of 32: the fastest answers.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q4_0
    /// 4 bits with scales and minimums of groups: as small as `q4_0`, closer to the original.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q4_k
    /// 6 bits with scales of groups.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q6_k

    /// How the elements are stored.
    public var elementType: ElementType {
        switch self {
        case .f16: .float16
        case .bf16: .bfloat16
        case .q8_0: .q8_0
        case .q4_0: .q4_0
        case .q4_k: .q4_k
        case .q6_k: .q6_k
        }
    }

    /// The number of `general.file_type`, as llama.cpp counts.
    var fileType: UInt32 {
        switch self {
        case .f16: 1
        case .q4_0: 2
        case .q8_0: 7
        case .q4_k: 14
        case .q6_k: 18
        case .bf16: 32
        }
    }
}

/// Which type each weight gets: the one place where that is decided.
///
/// | weights | type | why |
/// |---|---|---|
/// | norms, biases: whatever is a vector | F32 | tiny, and read as Float32 |
/// | patch embedding, class row, position tables, queries, end row | F32 | 0.1 % of the size; all pictures need them |
/// | token embeddings and the head | at least Q8_0 | 3 % of the size; errors there go straight into rows and logits |
/// | all other matrices | as asked | 97 % of the size |
///
/// A row is a whole number of blocks. Where it is not, a K-type (blocks of 256) becomes Q8_0, and where it is no
/// multiple of 32 either, F16.
struct WeightTypePolicy {
    /// What the type is chosen for.
    let type: WeightType

    /// A weight's type.
    struct Choice {
        /// The type that is stored.
        let type: ElementType
        /// The type that would be stored if the row were a whole number of blocks; nil if it is.
        let preferred: ElementType?
    }

    private static let exactKeys = [
        ".cls_token", ".position_embedding", ".patch_embed.weight", ".query_embeds", ".vit_eos", ".q_pos_embed",
        ".k_pos_embed",
    ]
    private static let tableKeys = ["model.embed_tokens.weight", "lm_head.weight"]

    /// The type of a weight.
    ///
    /// - Parameters:
    ///   - key: The key in the published checkpoint.
    ///   - shape: The weight's shape, its rows last.
    func choice(for key: String, shape: [Int]) -> Choice {
        let wanted = wanted(key, shape)
        let stored = Self.fitting(wanted, rowLength: shape.last ?? 0)
        return Choice(type: stored, preferred: stored == wanted ? nil : wanted)
    }

    private func wanted(_ key: String, _ shape: [Int]) -> ElementType {
        if shape.count < 2 || Self.exactKeys.contains(where: key.hasSuffix) { return .float32 }
        if Self.tableKeys.contains(key), type.elementType.isQuantized { return .q8_0 }
        return type.elementType
    }

    private static func fitting(_ type: ElementType, rowLength: Int) -> ElementType {
        if rowLength.isMultiple(of: type.blockElementCount) { return type }
        return rowLength.isMultiple(of: ElementType.q8_0.blockElementCount) ? .q8_0 : .float16
    }
}

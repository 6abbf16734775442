/// The settings of `tokenizer_config.json` that change token ids; all other fields are ignored.
public struct TokenizerConfiguration: Codable, Sendable, Hashable {
    /// Whether text behind a control token gets a leading space of its own, as the first version of the LLaMA tokenizer
    /// did; true unless the file says otherwise.
    public var isLegacy: Bool
    /// Whether a prompt begins with the beginning-of-sequence token; true unless the file says otherwise.
    public var addsBeginningOfSequence: Bool

    /// Settings of the given values, by default those of an absent file.
    public init(isLegacy: Bool = true, addsBeginningOfSequence: Bool = true) {
        self.isLegacy = isLegacy
        self.addsBeginningOfSequence = addsBeginningOfSequence
    }

    private enum CodingKeys: String, CodingKey {
        case isLegacy = "legacy"
        case addsBeginningOfSequence = "add_bos_token"
    }

    /// Reads the settings; absent fields and nulls take their defaults.
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            isLegacy: try fields.decodeIfPresent(Bool.self, forKey: .isLegacy) ?? true,
            addsBeginningOfSequence: try fields.decodeIfPresent(Bool.self, forKey: .addsBeginningOfSequence) ?? true)
    }
}

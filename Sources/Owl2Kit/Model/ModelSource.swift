import Owl2Abstractor
import Owl2Checkpoint
import Owl2Core
import Owl2Decoder
import Owl2Image
import Owl2Tokenizer
import Owl2Vision

/// Where a model is described: in the JSON files of a directory, or in the metadata of a GGUF file.
protocol ModelSource: Sendable {
    /// The shapes of all modules, checked.
    func configuration() throws -> ModelConfiguration
    /// What changes token ids, beside the vocabulary.
    func tokenizerConfiguration() throws -> TokenizerConfiguration
    /// The pieces and what they are for.
    func vocabulary() throws -> TokenizerVocabulary
    /// The tokenizer of both.
    func tokenizer() throws -> Tokenizer
    /// How pictures are prepared.
    func preprocessorConfiguration() throws -> PreprocessorConfiguration
    /// The preprocessor for pictures of a size, checked.
    func preprocessor(imageSize: Int) throws -> ImagePreprocessor
}

extension ModelFiles {
    /// Where the model is described.
    var source: any ModelSource {
        if let gguf { GGUFDescription(file: gguf) } else { PublishedFiles(files: self) }
    }
}

/// The files of the published layout.
private struct PublishedFiles: ModelSource {
    let files: ModelFiles

    func configuration() throws -> ModelConfiguration {
        let file = try files.file("config.json")
        let visual = try file.decodeJSON(VisualFields.self).visualConfiguration
        var configuration = ModelConfiguration()
        configuration.vision = visual?.visualModel ?? configuration.vision
        configuration.abstractor = visual?.visualAbstractor ?? configuration.abstractor
        configuration.decoder = try file.decodeJSON(DecoderConfiguration.self)
        configuration.endTokenIDs =
            try files.fileIfPresent("generation_config.json")?.decodeJSON(EndTokenField.self).ids
            ?? file.decodeJSON(EndTokenField.self).ids ?? configuration.endTokenIDs
        try configuration.validate()
        return configuration
    }

    func tokenizerConfiguration() throws -> TokenizerConfiguration {
        try files.fileIfPresent("tokenizer_config.json")?.decodeJSON(TokenizerConfiguration.self)
            ?? TokenizerConfiguration()
    }

    func vocabulary() throws -> TokenizerVocabulary {
        try TokenizerVocabulary(model: files.file("tokenizer.model"))
    }

    func tokenizer() throws -> Tokenizer {
        try Tokenizer(model: files.file("tokenizer.model"), configuration: tokenizerConfiguration())
    }

    func preprocessorConfiguration() throws -> PreprocessorConfiguration {
        try files.fileIfPresent("preprocessor_config.json")?.decodeJSON(PreprocessorConfiguration.self)
            ?? PreprocessorConfiguration()
    }

    func preprocessor(imageSize: Int) throws -> ImagePreprocessor {
        try ImagePreprocessor(configuration: preprocessorConfiguration(), imageSize: imageSize)
    }
}

/// The modules' shapes that are not at the top level of `config.json`.
private struct VisualFields: Decodable {
    struct Parts: Decodable {
        var visualModel: VisionConfiguration?
        var visualAbstractor: AbstractorConfiguration?

        enum CodingKeys: String, CodingKey {
            case visualModel = "visual_model"
            case visualAbstractor = "visual_abstractor"
        }
    }

    var visualConfiguration: Parts?

    enum CodingKeys: String, CodingKey {
        case visualConfiguration = "visual_config"
    }
}

/// `eos_token_id` is one id or a list of them.
private struct EndTokenField: Decodable {
    let ids: Set<Int>?

    enum CodingKeys: String, CodingKey {
        case ids = "eos_token_id"
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        guard fields.contains(.ids), try !fields.decodeNil(forKey: .ids) else {
            ids = nil
            return
        }
        if let id = try? fields.decode(Int.self, forKey: .ids) {
            ids = [id]
        } else {
            ids = Set(try fields.decode([Int].self, forKey: .ids))
        }
    }
}

import Owl2Abstractor
import Owl2Checkpoint
import Owl2Core
import Owl2Decoder
import Owl2Image
import Owl2Tokenizer
import Owl2Vision

/// All of `config.json`, and the token ids of `generation_config.json`. Absent fields, even the whole of
/// `visual_config`, have the values of the published model; unknown ones are ignored.
public struct ModelConfiguration: Sendable, Equatable {
    /// The visual encoder's shape.
    public var vision = VisionConfiguration()
    /// The visual abstractor's shape.
    public var abstractor = AbstractorConfiguration()
    /// The decoder's shape.
    public var decoder = DecoderConfiguration()
    /// The tokens that end an answer.
    public var endTokenIDs: Set<Int> = [2]

    /// The published model's shape.
    public init() {}

    /// Reads and checks `config.json` and, if it is there, `generation_config.json`.
    ///
    /// - Parameter files: The model's files.
    /// - Throws: `Owl2Error` with the file, the key, what was expected and what was found.
    public init(files: ModelFiles) throws {
        let file = try files.file("config.json")
        let visual = try file.decodeJSON(VisualFields.self).visualConfiguration
        vision = visual?.visualModel ?? vision
        abstractor = visual?.visualAbstractor ?? abstractor
        decoder = try file.decodeJSON(DecoderConfiguration.self)
        endTokenIDs =
            try files.fileIfPresent("generation_config.json")?.decodeJSON(EndTokenField.self).ids
            ?? file.decodeJSON(EndTokenField.self).ids ?? endTokenIDs
        try validate()
    }

    /// Checks that the parts' numbers make sense, alone and together.
    ///
    /// - Throws: `Owl2Error` (`invalidConfiguration`).
    public func validate() throws {
        try vision.validate()
        try abstractor.validate()
        try decoder.validate()
        let checks = ConfigurationChecks(object: "visual_config.visual_abstractor")
        try checks.only("grid_size", abstractor.gridSize, vision.imageSize / vision.patchSize)
        try checks.only("encoder_hidden_size", abstractor.encoderHiddenSize, vision.hiddenSize)
        for id in endTokenIDs where !(0..<decoder.vocabularySize).contains(id) {
            throw Owl2Error(
                .invalidConfiguration,
                "eos_token_id: expected 0 to \(decoder.vocabularySize - 1), found \(id)", subject: "eos_token_id")
        }
    }

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
}

extension Tokenizer {
    /// Reads `tokenizer.model` and, if it is there, `tokenizer_config.json`; no other file is needed.
    ///
    /// - Parameter files: The model's files.
    /// - Throws: `Owl2Error` with the file and what is wrong with it.
    public static func load(from files: ModelFiles) throws -> Tokenizer {
        let configuration = try files.fileIfPresent("tokenizer_config.json")?.decodeJSON(TokenizerConfiguration.self)
        return try Tokenizer(
            model: files.file("tokenizer.model"), configuration: configuration ?? TokenizerConfiguration())
    }
}

extension ImagePreprocessor {
    /// Reads `preprocessor_config.json`, if it is there, and the picture size of `config.json`.
    ///
    /// - Parameter files: The model's files.
    /// - Throws: `Owl2Error` with the file, the key, what was expected and what was found.
    public static func load(from files: ModelFiles) throws -> ImagePreprocessor {
        try load(from: files, imageSize: ModelConfiguration(files: files).vision.imageSize)
    }

    static func load(from files: ModelFiles, imageSize: Int) throws -> ImagePreprocessor {
        let configuration = try files.fileIfPresent("preprocessor_config.json")?
            .decodeJSON(PreprocessorConfiguration.self)
        return try ImagePreprocessor(
            configuration: configuration ?? PreprocessorConfiguration(), imageSize: imageSize)
    }
}

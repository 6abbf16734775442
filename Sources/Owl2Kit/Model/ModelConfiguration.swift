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

    /// Reads and checks `config.json` and, if it is there, `generation_config.json`; or the metadata of a GGUF file.
    ///
    /// - Parameter files: The model's files.
    /// - Throws: `Owl2Error` with the file, the key, what was expected and what was found.
    public init(files: ModelFiles) throws {
        self = try files.source.configuration()
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
}

extension Tokenizer {
    /// Reads `tokenizer.model` and, if it is there, `tokenizer_config.json`, and no other file; or the metadata of a GGUF
    /// file.
    ///
    /// - Parameter files: The model's files.
    /// - Throws: `Owl2Error` with the file and what is wrong with it.
    public static func load(from files: ModelFiles) throws -> Tokenizer {
        try files.source.tokenizer()
    }
}

extension ImagePreprocessor {
    /// Reads `preprocessor_config.json`, if it is there, and the picture size of `config.json`; or the metadata of a GGUF
    /// file.
    ///
    /// - Parameter files: The model's files.
    /// - Throws: `Owl2Error` with the file, the key, what was expected and what was found.
    public static func load(from files: ModelFiles) throws -> ImagePreprocessor {
        try files.source.preprocessor(imageSize: ModelConfiguration(files: files).vision.imageSize)
    }
}

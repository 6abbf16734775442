import Owl2Checkpoint
import Owl2Core
import Owl2Image
import Owl2Tokenizer

/// A model's description in the metadata of a GGUF file. Documentation/GGUF.md lists the keys.
struct GGUFDescription: ModelSource {
    /// Keys that do not belong to hyperparameters.
    enum Key {
        static let endTokens = "\(ModelFiles.architecture).generation.eos_token_ids"
        static let imageMean = "\(ModelFiles.architecture).vision.image_mean"
        static let imageDeviation = "\(ModelFiles.architecture).vision.image_std"
        static let isLegacy = "\(ModelFiles.architecture).tokenizer.legacy"
        static let unknownSurface = "\(ModelFiles.architecture).tokenizer.unk_surface"
        static let tokenizerModel = "tokenizer.ggml.model"
        static let tokens = "tokenizer.ggml.tokens"
        static let scores = "tokenizer.ggml.scores"
        static let tokenTypes = "tokenizer.ggml.token_type"
        static let beginning = "tokenizer.ggml.bos_token_id"
        static let end = "tokenizer.ggml.eos_token_id"
        static let unknown = "tokenizer.ggml.unknown_token_id"
        static let padding = "tokenizer.ggml.padding_token_id"
        static let addsBeginning = "tokenizer.ggml.add_bos_token"
        static let addsEnd = "tokenizer.ggml.add_eos_token"
        static let addsSpace = "tokenizer.ggml.add_space_prefix"
        static let removesSpaces = "tokenizer.ggml.remove_extra_whitespaces"
    }

    let file: GGUFFile

    func configuration() throws -> ModelConfiguration {
        var configuration = ModelConfiguration(), reader = HyperparameterReader(file)
        try configuration.visitHyperparameters(&reader)
        configuration.endTokenIDs = Set(try file.required(Key.endTokens, as: [Int].self))
        do {
            try configuration.validate()
        } catch let error as Owl2Error {
            throw reader.renamed(error)
        }
        return configuration
    }

    func tokenizerConfiguration() throws -> TokenizerConfiguration {
        TokenizerConfiguration(
            isLegacy: try file.required(Key.isLegacy), addsBeginningOfSequence: try file.required(Key.addsBeginning))
    }

    func vocabulary() throws -> TokenizerVocabulary {
        let model = try file.required(Key.tokenizerModel, as: String.self)
        guard model == "llama" else {
            throw Owl2Error(
                .unsupportedFormat, "\(file.name): '\(Key.tokenizerModel)' is '\(model)', expected 'llama'",
                subject: Key.tokenizerModel)
        }
        guard try file.optional(Key.removesSpaces, as: Bool.self) != true else {
            throw Owl2Error(
                .unsupportedFormat, "\(file.name): '\(Key.removesSpaces)' is true, which is not supported",
                subject: Key.removesSpaces)
        }
        var vocabulary = TokenizerVocabulary(
            pieces: try pieces(), beginningOfSequenceID: try file.required(Key.beginning),
            endOfSequenceID: try file.required(Key.end), padID: try file.optional(Key.padding))
        vocabulary.hasDummyPrefix = try file.required(Key.addsSpace)
        vocabulary.unknownSurface = try file.optional(Key.unknownSurface) ?? vocabulary.unknownSurface
        return vocabulary
    }

    private func pieces() throws -> [TokenizerVocabulary.Piece] {
        let texts = try file.required(Key.tokens, as: [String].self)
        let scores = try file.required(Key.scores, as: [Float].self)
        let kinds = try file.required(Key.tokenTypes, as: [Int].self)
        for (key, count) in [(Key.scores, scores.count), (Key.tokenTypes, kinds.count)] where count != texts.count {
            throw Owl2Error(
                .malformedFile, "\(file.name): '\(key)' has \(count) elements, '\(Key.tokens)' has \(texts.count)",
                subject: key)
        }
        return texts.indices.map { TokenizerVocabulary.Piece(text: texts[$0], score: scores[$0], kind: kinds[$0]) }
    }

    func tokenizer() throws -> Tokenizer {
        let tokenizer = try Tokenizer(
            vocabulary(), name: "\(file.name) (tokenizer.ggml)", configuration: tokenizerConfiguration())
        let unknownID = try file.required(Key.unknown, as: Int.self)
        guard unknownID == tokenizer.unknownID else {
            throw Owl2Error(
                .malformedFile,
                "\(file.name): '\(Key.unknown)' is \(unknownID), but '\(Key.tokenTypes)' marks \(tokenizer.unknownID)",
                subject: Key.unknown)
        }
        return tokenizer
    }

    func preprocessorConfiguration() throws -> PreprocessorConfiguration {
        var configuration = PreprocessorConfiguration()
        configuration.imageMean = try file.required(Key.imageMean)
        configuration.imageStandardDeviation = try file.required(Key.imageDeviation)
        return configuration
    }

    func preprocessor(imageSize: Int) throws -> ImagePreprocessor {
        do {
            return try ImagePreprocessor(configuration: preprocessorConfiguration(), imageSize: imageSize)
        } catch let error as Owl2Error where error.subject == "image_mean" || error.subject == "image_std" {
            let key = error.subject == "image_mean" ? Key.imageMean : Key.imageDeviation
            let reason = error.message.replacing("preprocessor_config.json: '\(error.subject ?? "")'", with: "'\(key)'")
            throw Owl2Error(error.code, "\(file.name): \(reason)", subject: key)
        }
    }
}

extension GGUFDescription {
    /// The metadata that describes a model, from which all of the above is read again.
    ///
    /// - Parameters:
    ///   - source: Where the model is described.
    ///   - vocabularySize: The rows of its embeddings.
    /// - Throws: `Owl2Error` for a description that makes no sense.
    static func metadata(
        of source: any ModelSource, vocabularySize: Int
    ) throws -> [(key: String, value: GGUFValue)] {
        var configuration = try source.configuration(), writer = HyperparameterWriter()
        configuration.decoder.vocabularySize = vocabularySize
        let preprocessing = try source.preprocessor(imageSize: configuration.vision.imageSize).configuration
        try configuration.visitHyperparameters(&writer)
        return writer.metadata + [
            ("\(ModelFiles.architecture).rope.dimension_count", .uint32(UInt32(configuration.decoder.headDimension))),
            (Key.imageMean, .array(preprocessing.imageMean)),
            (Key.imageDeviation, .array(preprocessing.imageStandardDeviation)),
            (Key.endTokens, .array(configuration.endTokenIDs.sorted().map { Int32($0) })),
        ] + (try tokenizerMetadata(of: source))
    }

    private static func tokenizerMetadata(of source: any ModelSource) throws -> [(key: String, value: GGUFValue)] {
        let vocabulary = try source.vocabulary(), tokenizer = try source.tokenizer()
        func id(_ id: Int) -> GGUFValue { .uint32(UInt32(id)) }
        var metadata: [(key: String, value: GGUFValue)] = [
            (Key.tokenizerModel, .string("llama")),
            ("tokenizer.ggml.pre", .string("default")),
            (Key.tokens, .array(vocabulary.pieces.map(\.text))),
            (Key.scores, .array(vocabulary.pieces.map(\.score))),
            (Key.tokenTypes, .array(vocabulary.pieces.map { Int32($0.kind) })),
            (Key.beginning, id(vocabulary.beginningOfSequenceID)),
            (Key.end, id(vocabulary.endOfSequenceID)),
            (Key.unknown, id(tokenizer.unknownID)),
            (Key.addsBeginning, .bool(tokenizer.configuration.addsBeginningOfSequence)),
            (Key.addsEnd, .bool(false)),
            (Key.addsSpace, .bool(vocabulary.hasDummyPrefix)),
            (Key.removesSpaces, .bool(false)),
            (Key.isLegacy, .bool(tokenizer.configuration.isLegacy)),
            (Key.unknownSurface, .string(vocabulary.unknownSurface)),
        ]
        if let padID = vocabulary.padID { metadata.append((Key.padding, id(padID))) }
        return metadata
    }
}

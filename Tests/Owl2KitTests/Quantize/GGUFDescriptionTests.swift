import Foundation
import Owl2Bundled
import Owl2Decoder
import Testing

@testable import Owl2Checkpoint
@testable import Owl2Kit

/// A model's description as GGUF metadata, and back.
@Suite struct GGUFDescriptionTests {
    /// The files of a GGUF file with the given metadata and no tensors.
    static func files(_ metadata: [(key: String, value: GGUFValue)]) throws -> ModelFiles {
        let folder = try ModelQuantizerTests.Folder()
        let writer = try GGUFWriter(
            to: folder.file, metadata: [("general.architecture", .string("mplug_owl2"))] + metadata, tensors: [])
        try writer.finish()
        return try withExtendedLifetime(folder) { try ModelFiles(at: folder.file) }
    }

    static func metadata(
        _ files: ModelFiles = BundledModel.files
    ) throws -> [(key: String, value: GGUFValue)] {
        let source = files.source
        return try GGUFDescription.metadata(of: source, vocabularySize: source.configuration().decoder.vocabularySize)
    }

    /// Reads all of the description.
    static func readAll(_ files: ModelFiles) throws {
        let configuration = try ModelConfiguration(files: files)
        _ = try Tokenizer.load(from: files)
        _ = try files.source.preprocessor(imageSize: configuration.vision.imageSize)
    }

    /// Changes of `config.json`.
    struct ChangedFields: @unchecked Sendable, CustomTestStringConvertible {
        // Unchecked: values of JSON, which are never changed.
        let values: [String: Any]
        var testDescription: String { "\(values)" }
    }

    static let shapes: [ChangedFields] =
        ([
            [:], ["rope_scaling": ["type": "linear", "factor": 2.5]],
            ["rope_scaling": ["type": "dynamic", "factor": 4]],
            ["rms_norm_eps": 1e-6, "rope_theta": 1_000_000.1, "num_key_value_heads": 2, "tie_word_embeddings": true],
            ["visual_config.visual_model.hidden_act": "gelu", "max_position_embeddings": 100],
        ] as [[String: Any]]).map { ChangedFields(values: $0) }

    @Test("Configurations come back as they were", arguments: shapes)
    func configurations(fields: ChangedFields) throws {
        let files = try TestModels.files(setting: fields.values.mapValues { $0 })
        #expect(try ModelConfiguration(files: Self.files(Self.metadata(files))) == ModelConfiguration(files: files))
    }

    @Test("Several end tokens come back") func endTokens() throws {
        let files = try TestModels.files(
            replacing: ["generation_config.json": Data(#"{"eos_token_id": [2, 5]}"#.utf8)])
        #expect(try ModelConfiguration(files: Self.files(Self.metadata(files))).endTokenIDs == [2, 5])
    }

    @Test("Preprocessor and tokenizer settings come back as they were") func settings() throws {
        let files = try TestModels.files(replacing: [
            "preprocessor_config.json": Data(#"{"image_mean": [0.1, 0.6, 0.3], "image_std": [0.7, 0.2, 0.9]}"#.utf8),
            "tokenizer_config.json": Data(#"{"legacy": false, "add_bos_token": false}"#.utf8),
        ])
        let copy = try Self.files(Self.metadata(files))
        #expect(try copy.source.preprocessorConfiguration() == files.source.preprocessorConfiguration())
        let tokenizer = try Tokenizer.load(from: copy)
        #expect(tokenizer.configuration == TokenizerConfiguration(isLegacy: false, addsBeginningOfSequence: false))
    }

    @Test("Any vocabulary comes back as it was, with pieces of every kind", arguments: [false, true])
    func vocabularies(isPlain: Bool) throws {
        var vocabulary = try BundledModel.files.source.vocabulary()
        if !isPlain {
            vocabulary.hasDummyPrefix = false
            vocabulary.unknownSurface = "?"
            vocabulary.pieces.append(.init(text: "<pad>", score: 0, kind: 3))
            vocabulary.padID = vocabulary.pieces.count - 1
            vocabulary.pieces.append(.init(text: "circle▁and", score: -0.0, kind: 4))
            vocabulary.pieces.append(.init(text: "e\u{301}", score: -7.25, kind: 1))
            vocabulary.pieces.append(.init(text: "\u{E9}", score: -7.5, kind: 5))
        }
        var metadata = try Self.metadata().filter { !$0.key.hasPrefix("tokenizer.ggml.") }
        metadata += try GGUFDescription.metadata(of: FixedVocabulary(content: vocabulary), vocabularySize: 768)
            .filter { $0.key.hasPrefix("tokenizer.ggml.") }
        if !isPlain {
            metadata.removeAll { $0.key == GGUFDescription.Key.unknownSurface }
            metadata.append((GGUFDescription.Key.unknownSurface, .string("?")))
        }
        let files = try Self.files(metadata)
        #expect(try files.source.vocabulary() == vocabulary)
        let tokenizer = try Tokenizer.load(from: files)
        #expect(tokenizer.padID == vocabulary.padID)
        let original = try Tokenizer(vocabulary, name: "vocabulary", configuration: TokenizerConfiguration())
        for text in ["a circle and a square", "e\u{301} \u{E9} <pad>", "日本\n", " x"] {
            #expect(tokenizer.encode(text) == original.encode(text))
            #expect(try tokenizer.decode(tokenizer.encode(text)) == original.decode(original.encode(text)))
        }
    }

    /// The bundled model with another vocabulary.
    private struct FixedVocabulary: ModelSource {
        let content: TokenizerVocabulary
        var source: any ModelSource { BundledModel.files.source }

        func configuration() throws -> ModelConfiguration { try source.configuration() }
        func tokenizerConfiguration() throws -> TokenizerConfiguration { try source.tokenizerConfiguration() }
        func vocabulary() throws -> TokenizerVocabulary { content }
        func tokenizer() throws -> Tokenizer {
            try Tokenizer(content, name: "vocabulary", configuration: tokenizerConfiguration())
        }
        func preprocessorConfiguration() throws -> PreprocessorConfiguration { try source.preprocessorConfiguration() }
        func preprocessor(imageSize: Int) throws -> ImagePreprocessor { try source.preprocessor(imageSize: imageSize) }
    }

    /// Keys that may be absent, or that only other programs read.
    static let optionalKeys: Set<String> = [
        "tokenizer.ggml.pre", "tokenizer.ggml.add_eos_token", "tokenizer.ggml.remove_extra_whitespaces",
        "mplug_owl2.tokenizer.unk_surface", "mplug_owl2.rope.dimension_count", "tokenizer.ggml.padding_token_id",
    ]

    @Test("Every key that is missing, or has another type, is named") func missingKeys() async throws {
        let metadata = try Self.metadata()
        #expect(throws: Never.self) { try Self.readAll(Self.files(metadata)) }
        for (key, _) in metadata {
            let rest = metadata.filter { $0.key != key }
            if Self.optionalKeys.contains(key) {
                #expect(throws: Never.self) { try Self.readAll(Self.files(rest)) }
            } else {
                await expectError(.malformedFile, mentioning: "'\(key)'", "missing", "model.gguf") {
                    try Self.readAll(Self.files(rest))
                }
                let wrong: (value: GGUFValue, name: String) =
                    key.contains("image_") ? (.array(["a"]), "array of string") : (.array([1.5]), "array of float64")
                await expectError(.malformedFile, mentioning: "'\(key)'", wrong.name, "model.gguf") {
                    try Self.readAll(Self.files(rest + [(key, wrong.value)]))
                }
            }
        }
    }

    @Test(
        "Numbers that make no sense are named by GGUF's key",
        arguments: [
            ("mplug_owl2.embedding_length", GGUFValue.uint32(0)), ("mplug_owl2.block_count", .uint32(1 << 30)),
            ("mplug_owl2.attention.head_count_kv", .uint32(8)), ("mplug_owl2.vision.image_size", .uint32(100)),
            ("mplug_owl2.rope.scaling.type", .string("yarn")), ("mplug_owl2.vision.activation", .string("relu")),
            ("mplug_owl2.attention.layer_norm_rms_epsilon", .number(.nan)),
            ("mplug_owl2.vision.image_mean", .array([2.0, 0, 0])),
            ("mplug_owl2.vision.image_std", .array([1.0])), ("tokenizer.ggml.model", .string("gpt2")),
            ("tokenizer.ggml.scores", .array([Float(1)])), ("tokenizer.ggml.unknown_token_id", .uint32(5)),
        ])
    func nonsense(key: String, value: GGUFValue) async throws {
        let rest = try Self.metadata().filter { $0.key != key }
        do {
            try Self.readAll(Self.files(rest + [(key, value)]))
            Issue.record("\(key) was taken")
        } catch let error as Owl2Error {
            #expect(error.message.contains(key) && error.message.contains("model.gguf"), "\(error.message)")
        }
    }

    @Test("Ids outside of the vocabulary, and tokens that contradict one another") func badVocabularies() async throws {
        let changes: [(String, GGUFValue)] = [
            ("tokenizer.ggml.bos_token_id", .uint32(768)), ("tokenizer.ggml.eos_token_id", .uint32(.max)),
            ("tokenizer.ggml.bos_token_id", .uint32(400)),
            ("tokenizer.ggml.token_type", .array([Int32](repeating: 1, count: 768))),
            ("tokenizer.ggml.token_type", .array([Int32](repeating: 9, count: 768))),
            ("tokenizer.ggml.tokens", .array([String](repeating: "a", count: 768))),
            ("tokenizer.ggml.tokens", .array([String](repeating: "", count: 768))),
            ("tokenizer.ggml.scores", .array([Float](repeating: .nan, count: 768))),
        ]
        for (key, value) in changes {
            await expectError(.malformedFile, mentioning: "model.gguf", "SentencePiece") {
                try Tokenizer.load(from: Self.files(Self.metadata().filter { $0.key != key } + [(key, value)]))
            }
        }
    }
}

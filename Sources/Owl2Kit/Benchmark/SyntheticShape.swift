import Owl2Core
import Owl2Image
import Owl2Tokenizer

/// The shapes of models that can be made up of random weights.
public enum SyntheticShape: String, Sendable, CaseIterable {
    /// The published model: 8.2 billion weights.
    case published = "7b"
    /// Every part of it in small: 4 layers of width 256, and pictures of the published size.
    case small

    /// The configuration of such a model.
    public var configuration: ModelConfiguration {
        var configuration = ModelConfiguration()
        guard self == .small else { return configuration }
        configuration.vision.hiddenSize = 128
        configuration.vision.intermediateSize = 512
        configuration.vision.hiddenLayerCount = 3
        configuration.vision.attentionHeadCount = 8
        configuration.abstractor.hiddenSize = 128
        configuration.abstractor.encoderHiddenSize = 128
        configuration.abstractor.intermediateSize = 352
        configuration.abstractor.hiddenLayerCount = 2
        configuration.abstractor.attentionHeadCount = 8
        configuration.decoder.vocabularySize = 768
        configuration.decoder.hiddenSize = 256
        configuration.decoder.intermediateSize = 704
        configuration.decoder.hiddenLayerCount = 4
        configuration.decoder.attentionHeadCount = 8
        configuration.decoder.keyValueHeadCount = 8
        configuration.decoder.maxPositionCount = 1024
        return configuration
    }
}

/// The description of a model without files: a shape, and a vocabulary of bytes and made-up words.
struct SyntheticDescription: ModelSource {
    let shape: SyntheticShape

    func configuration() throws -> ModelConfiguration {
        try shape.configuration.validate()
        return shape.configuration
    }

    func tokenizerConfiguration() throws -> TokenizerConfiguration { TokenizerConfiguration() }

    func vocabulary() throws -> TokenizerVocabulary {
        // SentencePiece's numbers: 1 normal, 2 unknown, 3 control, 6 byte
        let bytes = (0..<256).map { byte in
            let digits = String(byte, radix: 16, uppercase: true)
            return TokenizerVocabulary.Piece(text: "<0x\(byte < 16 ? "0" : "")\(digits)>", score: 0, kind: 6)
        }
        let special = [("<unk>", 2), ("<s>", 3), ("</s>", 3)].map {
            TokenizerVocabulary.Piece(text: $0.0, score: 0, kind: $0.1)
        }
        let words = (0..<shape.configuration.decoder.vocabularySize - 259).map {
            TokenizerVocabulary.Piece(text: "\u{2581}w\($0)", score: -Float($0), kind: 1)
        }
        return TokenizerVocabulary(pieces: special + bytes + words, beginningOfSequenceID: 1, endOfSequenceID: 2)
    }

    func tokenizer() throws -> Tokenizer {
        try Tokenizer(vocabulary(), name: "synthetic vocabulary", configuration: tokenizerConfiguration())
    }

    func preprocessorConfiguration() throws -> PreprocessorConfiguration { PreprocessorConfiguration() }

    func preprocessor(imageSize: Int) throws -> ImagePreprocessor {
        try ImagePreprocessor(configuration: preprocessorConfiguration(), imageSize: imageSize)
    }
}

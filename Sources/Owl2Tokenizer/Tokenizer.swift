import Owl2Core

/// The tokenizer of LLaMA: SentencePiece byte-pair encoding with byte fallback, read from a `tokenizer.model`.
///
/// Token ids and decoded text are exactly SentencePiece's. A tokenizer never changes and may be shared freely.
///
/// ```swift
/// let tokenizer = try Tokenizer(model: ByteRegion(mappingFile: path), configuration: TokenizerConfiguration())
/// let ids = tokenizer.encode([.text("USER: "), .image, .text("\(question) ASSISTANT:")])
/// ```
public final class Tokenizer: Sendable {
    /// What stands for an image in a raw prompt: `<|image|>`.
    public static let imageMarker = "<|image|>"
    /// What stands for an image among token ids: -200, which is no id of the vocabulary.
    public static let imageMarkerID = -200

    /// The settings that were given to the initialiser.
    public let configuration: TokenizerConfiguration
    /// The id of the token that begins every prompt: `<s>`.
    public let beginningOfSequenceID: Int
    /// The id of the token that ends an answer: `</s>`.
    public let endOfSequenceID: Int
    /// The id of the token for what is not in the vocabulary: `<unk>`.
    public let unknownID: Int
    /// The id of the model's padding token, where it has one; the published model has none.
    public let padID: Int?
    /// The number of tokens; ids are `0 ..< vocabularySize`.
    public var vocabularySize: Int { vocabulary.count }

    let vocabulary: Vocabulary
    /// Whether the model puts a space in front of a text.
    let hasDummyPrefix: Bool
    /// What the unknown token is decoded to.
    let unknownSurface: String
    /// The texts that a raw prompt is split at, and what they mean.
    private let markers: [(text: [UInt8], segment: PromptSegment)]

    /// Reads a SentencePiece model.
    ///
    /// - Parameters:
    ///   - model: The content of `tokenizer.model`; it is copied.
    ///   - configuration: The settings of `tokenizer_config.json`.
    /// - Throws: `Owl2Error`: `malformedFile` when the bytes are no sound SentencePiece model, `unsupportedFormat` when
    ///   the model is of another kind than byte-pair encoding, or normalises text.
    public convenience init(model: ByteRegion, configuration: TokenizerConfiguration) throws {
        try self.init(SentencePieceModel(model), text: model, configuration: configuration)
    }

    /// A tokenizer of a vocabulary.
    ///
    /// - Parameters:
    ///   - vocabulary: The pieces and what they are for.
    ///   - name: What error messages call the vocabulary's file.
    ///   - configuration: The settings of `tokenizer_config.json`.
    /// - Throws: `Owl2Error` (`malformedFile`) for a vocabulary that contradicts itself.
    package convenience init(
        _ vocabulary: TokenizerVocabulary, name: String, configuration: TokenizerConfiguration
    ) throws {
        let text = ByteRegion(name: name, copying: vocabulary.pieces.flatMap { Array($0.text.utf8) })
        try self.init(SentencePieceModel(vocabulary, text: text), text: text, configuration: configuration)
    }

    /// A tokenizer of a model whose pieces refer to offsets in `text`.
    private init(
        _ content: SentencePieceModel, text model: ByteRegion, configuration: TokenizerConfiguration
    ) throws {
        let vocabulary = try withExtendedLifetime(model) { try Vocabulary(content, model) }
        func controlID(_ piece: String) -> Int? {
            vocabulary.id(of: piece).flatMap { vocabulary.kinds[$0] == .control ? $0 : nil }
        }
        func requiredID(_ piece: String) throws -> Int {
            guard let id = controlID(piece) else {
                throw Owl2Error.malformedTokenizer(model.name, "it has no control piece '\(piece)'")
            }
            return id
        }
        self.configuration = configuration
        self.vocabulary = vocabulary
        beginningOfSequenceID = try requiredID(content.beginningPiece)
        endOfSequenceID = try requiredID(content.endPiece)
        unknownID = vocabulary.unknownID
        padID = controlID(content.padPiece)
        hasDummyPrefix = content.hasDummyPrefix
        unknownSurface = content.unknownSurface
        markers = [
            (Array(Self.imageMarker.utf8), .image),
            (Array(vocabulary.bytes(beginningOfSequenceID)), .control(beginningOfSequenceID)),
            (Array(vocabulary.bytes(endOfSequenceID)), .control(endOfSequenceID)),
            (Array(vocabulary.bytes(unknownID)), .control(unknownID)),
        ]
    }

    /// The text of a token as the vocabulary spells it, with `▁` for a space and `<0x0A>` for a byte.
    ///
    /// - Parameter id: A token id.
    /// - Returns: The piece, or nil for an id outside of the vocabulary.
    public func piece(_ id: Int) -> String? {
        guard 0..<vocabularySize ~= id else { return nil }
        return String(decoding: vocabulary.bytes(id), as: UTF8.self)
    }
}

extension Tokenizer {
    /// The token ids of one stretch of plain text, without a beginning-of-sequence token.
    ///
    /// Control tokens and image markers in the text are spelled out with ordinary pieces.
    ///
    /// - Parameter text: Any text; a space is put in front of it if the model asks for it, as LLaMA's does.
    /// - Returns: Token ids, none for an empty text.
    public func encode(_ text: String) -> [Int] {
        encode(text, withDummyPrefix: hasDummyPrefix)
    }

    private func encode(_ text: String, withDummyPrefix hasPrefix: Bool) -> [Int] {
        guard !text.isEmpty else { return [] }
        let space = Vocabulary.space
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + text.utf8.count / 2 + space.count)
        if hasPrefix { bytes += space }
        for byte in text.utf8 {
            if byte == UInt8(ascii: " ") { bytes += space } else { bytes.append(byte) }
        }
        return BytePairMerging.encode(bytes, with: vocabulary)
    }

    /// Splits a whole prompt at its image markers and control tokens: `<|image|>`, `<s>`, `</s>` and `<unk>`.
    ///
    /// For trusted prompts alone: what a user wrote belongs into ``PromptSegment/text(_:)``.
    ///
    /// - Parameter prompt: A prompt with its own markers, without the beginning-of-sequence token.
    /// - Returns: The segments in order; no text is empty.
    public func segments(ofRawPrompt prompt: String) -> [PromptSegment] {
        let bytes = Array(prompt.utf8)
        var segments: [PromptSegment] = []
        var start = 0
        var position = 0
        func appendText() {
            if start < position { segments.append(.text(String(decoding: bytes[start..<position], as: UTF8.self))) }
        }
        while position < bytes.count {
            let marker = markers.first { $0.text.first == bytes[position] && bytes[position...].starts(with: $0.text) }
            guard let marker else {
                position += 1
                continue
            }
            appendText()
            segments.append(marker.segment)
            position += marker.text.count
            start = position
        }
        appendText()
        return segments
    }

    /// The token ids of a prompt.
    ///
    /// What stands between two images is a chunk that is tokenised by itself. In a chunk, every stretch of text between
    /// control tokens is encoded by itself; with ``TokenizerConfiguration/isLegacy`` off, only a stretch that begins a
    /// chunk gets the model's leading space.
    ///
    /// - Parameters:
    ///   - segments: The parts of the prompt.
    ///   - addBeginningOfSequence: Whether the ids begin with ``beginningOfSequenceID``, unless
    ///     ``TokenizerConfiguration/addsBeginningOfSequence`` is off.
    /// - Returns: Token ids, with ``imageMarkerID`` for each image.
    public func encode(_ segments: [PromptSegment], addBeginningOfSequence: Bool = true) -> [Int] {
        var ids: [Int] = []
        if addBeginningOfSequence, configuration.addsBeginningOfSequence { ids.append(beginningOfSequenceID) }
        var stretch = ""
        var isAtChunkStart = true
        func endStretch() {
            guard !stretch.isEmpty else { return }
            ids += encode(stretch, withDummyPrefix: hasDummyPrefix && (isAtChunkStart || configuration.isLegacy))
            stretch = ""
            isAtChunkStart = false
        }
        for segment in segments {
            switch segment {
            case .text(let text):
                stretch += text
            case .control(let id):
                endStretch()
                ids.append(id)
                isAtChunkStart = false
            case .image:
                endStretch()
                ids.append(Self.imageMarkerID)
                isAtChunkStart = true
            }
        }
        endStretch()
        return ids
    }

    /// The text of token ids.
    ///
    /// The space that encoding puts in front is dropped, control tokens are invisible, and bytes that make up no
    /// character become U+FFFD.
    ///
    /// - Parameter ids: Token ids without image markers.
    /// - Returns: The text, exactly SentencePiece's.
    /// - Throws: `Owl2Error` (`invalidInput`) for an id outside of the vocabulary.
    public func decode(_ ids: [Int]) throws -> String {
        if let id = ids.first(where: { !(0..<vocabularySize ~= $0) }) {
            throw Owl2Error(
                .invalidInput, "cannot decode token id \(id): the vocabulary has the ids 0 to \(vocabularySize - 1)")
        }
        var detokenizer = StreamingDetokenizer(self)
        var text = ""
        for id in ids { text += detokenizer.append(id) }
        return text + detokenizer.finish()
    }
}

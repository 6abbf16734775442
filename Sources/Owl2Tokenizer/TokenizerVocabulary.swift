import Owl2Core

/// All that makes up a tokenizer beside its configuration, in plain values: for files of another format than
/// `tokenizer.model`.
package struct TokenizerVocabulary: Sendable, Equatable {
    /// An entry, whose index is its token id.
    package struct Piece: Sendable, Equatable {
        /// The text, with `▁` for a space and `<0x0A>` for a byte.
        package var text: String
        /// How early it is merged.
        package var score: Float
        /// What it is, in SentencePiece's numbers.
        package var kind: Int

        package init(text: String, score: Float, kind: Int) {
            self.text = text
            self.score = score
            self.kind = kind
        }
    }

    /// The entries by token id.
    package var pieces: [Piece]
    /// Whether a space is put in front of a text.
    package var hasDummyPrefix = true
    /// What the unknown token is decoded to.
    package var unknownSurface = " \u{2047} "
    /// The id of the token that begins a prompt.
    package var beginningOfSequenceID: Int
    /// The id of the token that ends an answer.
    package var endOfSequenceID: Int
    /// The id of the padding token, where there is one.
    package var padID: Int?

    package init(pieces: [Piece], beginningOfSequenceID: Int, endOfSequenceID: Int, padID: Int? = nil) {
        self.pieces = pieces
        self.beginningOfSequenceID = beginningOfSequenceID
        self.endOfSequenceID = endOfSequenceID
        self.padID = padID
    }

    /// The vocabulary of a `tokenizer.model`, as the tokenizer reads it.
    ///
    /// - Throws: `Owl2Error`, as the tokenizer's initialiser does.
    package init(model: ByteRegion) throws {
        let tokenizer = try Tokenizer(model: model, configuration: TokenizerConfiguration())
        let content = try SentencePieceModel(model)
        pieces = withExtendedLifetime(model) {
            content.pieces.map { piece in
                let text = String(decoding: model.bytes[piece.text], as: UTF8.self)
                return Piece(text: text, score: piece.score, kind: Int(piece.kind.rawValue))
            }
        }
        hasDummyPrefix = content.hasDummyPrefix
        unknownSurface = content.unknownSurface
        beginningOfSequenceID = tokenizer.beginningOfSequenceID
        endOfSequenceID = tokenizer.endOfSequenceID
        padID = tokenizer.padID
    }
}

extension SentencePieceModel {
    /// The model of a vocabulary, whose pieces refer to offsets in `text`, the texts of all pieces in order.
    ///
    /// - Throws: `Owl2Error` (`malformedFile`) for a piece or an id that cannot be.
    init(_ vocabulary: TokenizerVocabulary, text: ByteRegion) throws {
        func malformed(_ reason: String) -> Owl2Error { .malformedTokenizer(text.name, reason) }
        var pieces: [Piece] = [], offset = 0
        for (id, piece) in vocabulary.pieces.enumerated() {
            guard let kind = UInt8(exactly: piece.kind).flatMap(PieceKind.init(rawValue:)) else {
                throw malformed("piece \(id) has the unknown type \(piece.kind)")
            }
            guard !piece.text.isEmpty else { throw malformed("piece \(id) is empty") }
            let end = offset + piece.text.utf8.count
            pieces.append(Piece(text: offset..<end, score: piece.score, kind: kind))
            offset = end
        }
        guard !pieces.isEmpty else { throw malformed("it has no pieces") }
        func name(_ id: Int, _ role: String) throws -> String {
            guard pieces.indices.contains(id) else {
                throw malformed("the id \(id) of the \(role) token is outside of the \(pieces.count) pieces")
            }
            return vocabulary.pieces[id].text
        }
        self.init(
            pieces: pieces, hasByteFallback: pieces.contains { $0.kind == .byte },
            hasDummyPrefix: vocabulary.hasDummyPrefix, unknownSurface: vocabulary.unknownSurface,
            beginningPiece: try name(vocabulary.beginningOfSequenceID, "beginning-of-sequence"),
            endPiece: try name(vocabulary.endOfSequenceID, "end-of-sequence"),
            padPiece: try vocabulary.padID.map { try name($0, "padding") } ?? "")
    }
}

/// Turns token ids into text one at a time, as they are generated.
///
/// The pieces of text that ``append(_:)`` and ``finish()`` return make up exactly ``Tokenizer/decode(_:)`` of all ids;
/// a character that is spelled in bytes is returned when it is whole.
public struct StreamingDetokenizer: Sendable {
    private let tokenizer: Tokenizer
    /// The bytes of a character that is not whole yet.
    private var pending: [UInt8] = []
    /// Whether the next piece loses the space that it begins with, if it begins with one.
    private var isAtStart = true
    private var hasDroppedSpace = false
    private var hasText = false

    /// A detokenizer at the start of a text.
    ///
    /// - Parameter tokenizer: The tokenizer that the ids belong to.
    public init(_ tokenizer: Tokenizer) {
        self.tokenizer = tokenizer
    }

    /// Takes one more token.
    ///
    /// - Parameter id: A token id; one outside of the vocabulary has no text and is passed over.
    /// - Returns: The text that is now certain; often empty behind a byte token or a control token.
    public mutating func append(_ id: Int) -> String {
        guard 0..<tokenizer.vocabularySize ~= id else { return "" }
        var text: [UInt8] = []
        let piece = tokenizer.vocabulary.bytes(id)
        if tokenizer.vocabulary.kinds[id] == .byte, let byte = Vocabulary.byte(ofPiece: piece) {
            pending.append(byte)
            takeWholeCharacters(to: &text)
        } else {
            takePendingBytes(to: &text)
            if hasDroppedSpace || hasText || !text.isEmpty { isAtStart = false }
            hasDroppedSpace = false
            appendPiece(piece, tokenizer.vocabulary.kinds[id], to: &text)
        }
        hasText = hasText || !text.isEmpty
        return String(decoding: text, as: UTF8.self)
    }

    /// Ends the text.
    ///
    /// - Returns: What was held back: U+FFFD for each byte of a character that never became whole. The detokenizer is
    ///   then at the start of a new text.
    public mutating func finish() -> String {
        var text: [UInt8] = []
        takePendingBytes(to: &text)
        self = StreamingDetokenizer(tokenizer)
        return String(decoding: text, as: UTF8.self)
    }

    private mutating func appendPiece(_ piece: ArraySlice<UInt8>, _ kind: PieceKind, to text: inout [UInt8]) {
        guard kind != .control else { return }
        guard kind != .unknown else {
            text += tokenizer.unknownSurface.utf8
            return
        }
        var rest = piece
        if isAtStart, tokenizer.hasDummyPrefix, rest.starts(with: Vocabulary.space) {
            hasDroppedSpace = true
            rest = rest.dropFirst(Vocabulary.space.count)
        }
        while let first = rest.first {
            if rest.starts(with: Vocabulary.space) {
                text.append(UInt8(ascii: " "))
                rest = rest.dropFirst(Vocabulary.space.count)
            } else {
                text.append(first)
                rest = rest.dropFirst()
            }
        }
    }

    /// Moves what is certain of the pending bytes to the text: whole characters, and U+FFFD for invalid bytes.
    private mutating func takeWholeCharacters(to text: inout [UInt8]) {
        while !pending.isEmpty {
            switch UTF8Character(startOf: pending[...]) {
            case .complete(let byteCount):
                text += pending.prefix(byteCount)
                pending.removeFirst(byteCount)
            case .invalid:
                text += Self.replacement
                pending.removeFirst()
            case .incomplete:
                return
            }
        }
    }

    /// Moves all pending bytes to the text. SentencePiece gives a U+FFFD for each byte of a character that is cut off.
    private mutating func takePendingBytes(to text: inout [UInt8]) {
        for _ in pending { text += Self.replacement }
        pending = []
    }

    /// U+FFFD in UTF-8.
    private static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]
}

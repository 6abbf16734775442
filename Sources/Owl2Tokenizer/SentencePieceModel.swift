import Owl2Core

/// What kind of token a piece of the vocabulary is; the values are those of SentencePiece's `ModelProto`.
enum PieceKind: UInt8 {
    /// Found in text and merged by score.
    case normal = 1
    /// Stands for what has no piece.
    case unknown = 2
    /// Never found in text: `<s>`, `</s>`.
    case control = 3
    /// Always one token where its text appears, before any merging.
    case userDefined = 4
    /// Only a step between merges: it is taken apart again, and as a single character it counts as unknown.
    case unused = 5
    /// One byte of a character that has no piece: `<0x0A>`.
    case byte = 6

    /// Whether such a piece may be found in plain text by its spelling.
    var isFoundInText: Bool {
        switch self {
        case .normal, .userDefined, .unused: true
        case .unknown, .control, .byte: false
        }
    }
}

/// The content of a `tokenizer.model`: the fields of SentencePiece's `ModelProto` that change token ids or text.
struct SentencePieceModel {
    /// An entry of the vocabulary, whose index is its token id.
    struct Piece {
        /// Offsets of the text in the file.
        var text = 0..<0
        var score: Float = 0
        var kind = PieceKind.normal
    }

    /// The largest file that is read, in bytes: a vocabulary of 256,000 pieces takes 4 MB.
    private static let largestFile = 64 << 20

    private(set) var pieces: [Piece] = []
    private(set) var hasByteFallback = false
    private(set) var hasDummyPrefix = true
    private(set) var unknownSurface = " \u{2047} "
    private(set) var unknownPiece = "<unk>"
    private(set) var beginningPiece = "<s>"
    private(set) var endPiece = "</s>"
    private(set) var padPiece = "<pad>"

    // Read only to be judged; the defaults are those of SentencePiece for absent fields.
    private var modelType: UInt64 = 1
    private var hasTrainerSpec = false
    private var hasNormalizerSpec = false
    private var removesExtraWhitespace = true
    private var escapesWhitespace = true
    private var treatsWhitespaceAsSuffix = false
    private var hasCharacterMap = false

    /// A model of the kind that is supported.
    init(
        pieces: [Piece], hasByteFallback: Bool, hasDummyPrefix: Bool, unknownSurface: String, beginningPiece: String,
        endPiece: String, padPiece: String
    ) {
        self.pieces = pieces
        self.hasByteFallback = hasByteFallback
        self.hasDummyPrefix = hasDummyPrefix
        self.unknownSurface = unknownSurface
        self.beginningPiece = beginningPiece
        self.endPiece = endPiece
        self.padPiece = padPiece
    }

    /// Reads the whole file.
    ///
    /// - Throws: `Owl2Error`: `malformedFile` for what is no model, `unsupportedFormat` for a model of another kind.
    init(_ region: ByteRegion) throws {
        guard region.count <= Self.largestFile else {
            throw Owl2Error.malformedTokenizer(
                region.name, "it has \(region.count) bytes, more than the \(Self.largestFile) that are allowed")
        }
        var reader = ProtobufReader(region, 0..<region.count)
        while let field = try reader.next() {
            switch field.number {
            case 1: pieces.append(try piece(region, reader.bytes(field, "piece \(pieces.count)")))
            case 2: try readTrainerSpec(region, reader.bytes(field, "trainer_spec"))
            case 3: try readNormalizerSpec(region, reader.bytes(field, "normalizer_spec"))
            case 5: try readDenormalizerSpec(region, reader.bytes(field, "denormalizer_spec"))
            default: break
            }
        }
        try validate(region.name)
    }

    private func piece(_ region: ByteRegion, _ range: Range<Int>) throws -> Piece {
        var piece = Piece()
        var reader = ProtobufReader(region, range)
        while let field = try reader.next() {
            switch field.number {
            case 1: piece.text = try reader.bytes(field, "the text of piece \(pieces.count)")
            case 2: piece.score = try reader.float(field, "the score of piece \(pieces.count)")
            case 3:
                let value = try reader.integer(field, "the type of piece \(pieces.count)")
                guard let kind = UInt8(exactly: value).flatMap(PieceKind.init(rawValue:)) else {
                    throw Owl2Error.malformedTokenizer(
                        region.name, "piece \(pieces.count) has the unknown type \(value)")
                }
                piece.kind = kind
            default: break
            }
        }
        guard !piece.text.isEmpty else {
            throw Owl2Error.malformedTokenizer(region.name, "piece \(pieces.count) is empty")
        }
        return piece
    }

    private mutating func readTrainerSpec(_ region: ByteRegion, _ range: Range<Int>) throws {
        hasTrainerSpec = true
        var reader = ProtobufReader(region, range)
        while let field = try reader.next() {
            switch field.number {
            case 3: modelType = try reader.integer(field, "model_type")
            case 24: treatsWhitespaceAsSuffix = try reader.boolean(field, "treat_whitespace_as_suffix")
            case 35: hasByteFallback = try reader.boolean(field, "byte_fallback")
            case 44: unknownSurface = try reader.string(field, "unk_surface")
            case 45: try readName(reader, field, "unk_piece", into: \.unknownPiece)
            case 46: try readName(reader, field, "bos_piece", into: \.beginningPiece)
            case 47: try readName(reader, field, "eos_piece", into: \.endPiece)
            case 48: try readName(reader, field, "pad_piece", into: \.padPiece)
            default: break
            }
        }
    }

    /// An empty name leaves the default, as in SentencePiece.
    private mutating func readName(
        _ reader: ProtobufReader, _ field: ProtobufReader.Field, _ key: String,
        into path: WritableKeyPath<Self, String>
    ) throws {
        let name = try reader.string(field, key)
        if !name.isEmpty { self[keyPath: path] = name }
    }

    private mutating func readNormalizerSpec(_ region: ByteRegion, _ range: Range<Int>) throws {
        hasNormalizerSpec = true
        var reader = ProtobufReader(region, range)
        while let field = try reader.next() {
            switch field.number {
            case 2: hasCharacterMap = try !reader.bytes(field, "precompiled_charsmap").isEmpty || hasCharacterMap
            case 3: hasDummyPrefix = try reader.boolean(field, "add_dummy_prefix")
            case 4: removesExtraWhitespace = try reader.boolean(field, "remove_extra_whitespaces")
            case 5: escapesWhitespace = try reader.boolean(field, "escape_whitespaces")
            default: break
            }
        }
    }

    private mutating func readDenormalizerSpec(_ region: ByteRegion, _ range: Range<Int>) throws {
        var reader = ProtobufReader(region, range)
        while let field = try reader.next() {
            guard field.number == 2 else { continue }
            hasCharacterMap = try !reader.bytes(field, "precompiled_charsmap").isEmpty || hasCharacterMap
        }
    }

    private func validate(_ file: String) throws {
        guard !pieces.isEmpty else { throw Owl2Error.malformedTokenizer(file, "it has no pieces") }
        guard hasTrainerSpec, hasNormalizerSpec else {
            let missing = hasTrainerSpec ? "normalizer_spec" : "trainer_spec"
            throw Owl2Error.malformedTokenizer(file, "it has no \(missing); perhaps the file is cut off")
        }
        func refuse(_ feature: String) -> Owl2Error {
            let message = "\(file): the SentencePiece model \(feature), which is not supported"
            return Owl2Error(.unsupportedFormat, message, subject: file)
        }
        guard modelType == 2 else {
            let names: [UInt64: String] = [1: "unigram", 3: "word", 4: "char"]
            throw refuse("is of type \(names[modelType] ?? String(modelType)) instead of bpe")
        }
        if hasCharacterMap { throw refuse("normalises characters (precompiled_charsmap)") }
        if removesExtraWhitespace { throw refuse("removes white space (remove_extra_whitespaces)") }
        if !escapesWhitespace { throw refuse("keeps spaces unescaped (escape_whitespaces is false)") }
        if treatsWhitespaceAsSuffix { throw refuse("puts white space behind words (treat_whitespace_as_suffix)") }
    }
}

import Owl2Core

/// The pieces of a model by token id, and a table that finds the id of a run of bytes.
///
/// Pieces are compared byte by byte: Swift's `String` would take canonically equivalent spellings for the same piece.
final class Vocabulary: Sendable {
    /// How pieces spell a space: `▁` (U+2581) in UTF-8.
    static let space: [UInt8] = [0xE2, 0x96, 0x81]

    /// The number of pieces, one more than the largest token id.
    let count: Int
    /// The one piece of kind `unknown`.
    let unknownID: Int
    /// The id of each byte's piece, by the byte's value; nil for a model without byte fallback.
    let byteIDs: [Int]?
    /// The kind of each piece.
    let kinds: [PieceKind]
    /// The place of each piece in the order of merging: the higher the score, the lower the rank. Equal scores have
    /// equal ranks.
    let mergeRanks: [Int32]

    private let text: [UInt8]
    /// Where each piece begins in `text`, and the end of the last.
    private let starts: [Int]
    private let longestPiece: Int
    /// Open addressing with at least half of the slots empty: token ids, -1 for none.
    private let slots: [Int32]
    /// The byte counts of the user-defined pieces that begin with a byte, longest first, by that byte.
    private let userDefinedLengths: [[Int]]

    /// Indexes the pieces of a model.
    ///
    /// - Throws: `Owl2Error` (`malformedFile`) for pieces that are duplicate, not UTF-8 or contradict one another.
    init(_ model: SentencePieceModel, _ region: ByteRegion) throws {
        func malformed(_ text: String) -> Owl2Error { .malformedTokenizer(region.name, text) }
        let pieces = model.pieces
        count = pieces.count
        kinds = pieces.map(\.kind)
        let (text, starts) = try Self.text(of: pieces, region)
        self.text = text
        self.starts = starts
        longestPiece = pieces.reduce(0) { max($0, $1.text.count) }
        mergeRanks = Self.mergeRanks(of: pieces)
        userDefinedLengths = Self.userDefinedLengths(of: pieces, region)

        let unknown = pieces.indices.filter { pieces[$0].kind == .unknown }
        guard let first = unknown.first else { throw malformed("no piece stands for what is unknown (<unk>)") }
        guard unknown.count == 1 else {
            throw malformed("pieces \(first) and \(unknown[1]) both stand for what is unknown")
        }
        unknownID = first
        let table = Self.table(text, starts)
        if let (id, other) = table.duplicate {
            let spelling = Self.string(text[starts[id]..<starts[id + 1]])
            throw malformed("pieces \(other) and \(id) are the same: '\(spelling)'")
        }
        slots = table.slots
        byteIDs = try Self.byteIDs(of: model, region)
    }

    /// The bytes of a piece, in which `▁` (U+2581) stands for a space.
    func bytes(_ id: Int) -> ArraySlice<UInt8> {
        text[starts[id]..<starts[id + 1]]
    }

    /// The token id of the piece that is exactly these bytes, or nil.
    func id(of bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        guard bytes.count <= longestPiece else { return nil }
        var slot = Self.hash(bytes) & (slots.count - 1)
        while slots[slot] >= 0 {
            let id = Int(slots[slot])
            let start = starts[id]
            if starts[id + 1] - start == bytes.count, Self.isEqual(text, start, bytes) { return id }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// The token id of the piece of the given text, or nil.
    func id(of text: String) -> Int? {
        var text = text
        return text.withUTF8 { id(of: $0) }
    }

    /// The byte count of the longest user-defined piece that the bytes begin with, or nil.
    func userDefinedPrefix(of bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        guard !userDefinedLengths.isEmpty, let first = bytes.first else { return nil }
        return userDefinedLengths[Int(first)].first { length in
            guard length <= bytes.count, let id = id(of: .init(rebasing: bytes[..<length])) else { return false }
            return kinds[id] == .userDefined
        }
    }
}

extension Vocabulary {
    /// Copies the texts of the pieces one behind the other, and checks each piece.
    private static func text(
        of pieces: [SentencePieceModel.Piece], _ region: ByteRegion
    ) throws -> (text: [UInt8], starts: [Int]) {
        var text: [UInt8] = []
        var starts = [0]
        starts.reserveCapacity(pieces.count + 1)
        for (id, piece) in pieces.enumerated() {
            let bytes = region.bytes[piece.text]
            guard String(validating: bytes, as: UTF8.self) != nil else {
                throw Owl2Error.malformedTokenizer(region.name, "piece \(id) is not valid UTF-8")
            }
            guard piece.score.isFinite else {
                throw Owl2Error.malformedTokenizer(region.name, "piece \(id) has the score \(piece.score)")
            }
            text += bytes
            starts.append(text.count)
        }
        return (text, starts)
    }

    /// Scores are compared in IEEE 754's total order, in which -0 comes below 0, as in SentencePiece 0.2.3. The first
    /// merge of a trained model has the score -0.
    private static func mergeRanks(of pieces: [SentencePieceModel.Piece]) -> [Int32] {
        func isBetter(_ id: Int, _ other: Int) -> Bool {
            !pieces[id].score.isTotallyOrdered(belowOrEqualTo: pieces[other].score)
        }
        let order = pieces.indices.sorted(by: isBetter)
        var ranks = [Int32](repeating: 0, count: pieces.count)
        var rank: Int32 = 0
        for (previous, id) in zip(order, order.dropFirst()) {
            if isBetter(previous, id) { rank += 1 }
            ranks[id] = rank
        }
        return ranks
    }

    private static func userDefinedLengths(of pieces: [SentencePieceModel.Piece], _ region: ByteRegion) -> [[Int]] {
        let userDefined = pieces.filter { $0.kind == .userDefined }
        guard !userDefined.isEmpty else { return [] }
        var lengths = [Set<Int>](repeating: [], count: 256)
        for piece in userDefined { lengths[Int(region.bytes[piece.text.lowerBound])].insert(piece.text.count) }
        return lengths.map { $0.sorted(by: >) }
    }

    /// Fills the table of ids, up to the first piece that is there already.
    private static func table(_ text: [UInt8], _ starts: [Int]) -> (slots: [Int32], duplicate: (id: Int, other: Int)?) {
        let count = starts.count - 1
        var capacity = 16
        while capacity < 2 * count { capacity *= 2 }
        var slots = [Int32](repeating: -1, count: capacity)
        let duplicate = text.withUnsafeBufferPointer { text -> (id: Int, other: Int)? in
            for id in 0..<count {
                let bytes = UnsafeBufferPointer(rebasing: text[starts[id]..<starts[id + 1]])
                var slot = hash(bytes) & (capacity - 1)
                while slots[slot] >= 0 {
                    let other = Int(slots[slot])
                    if text[starts[other]..<starts[other + 1]].elementsEqual(bytes) { return (id: id, other: other) }
                    slot = (slot + 1) & (capacity - 1)
                }
                slots[slot] = Int32(id)
            }
            return nil
        }
        return (slots, duplicate)
    }

    private static func byteIDs(of model: SentencePieceModel, _ region: ByteRegion) throws -> [Int]? {
        func malformed(_ text: String) -> Owl2Error { .malformedTokenizer(region.name, text) }
        var ids = [Int](repeating: -1, count: 256)
        for (id, piece) in model.pieces.enumerated() where piece.kind == .byte {
            let text = string(region.bytes[piece.text])
            guard model.hasByteFallback else {
                throw malformed("it has the byte piece '\(text)', though its byte_fallback is off")
            }
            guard let byte = byte(ofPiece: region.bytes[piece.text]) else {
                throw malformed("the byte piece \(id) is '\(text)' and not of the form <0x0A>")
            }
            ids[Int(byte)] = id
        }
        guard model.hasByteFallback else { return nil }
        if let missing = ids.firstIndex(of: -1) {
            throw malformed("its byte_fallback is on, but the piece of byte \(missing) is missing")
        }
        return ids
    }

    /// The value of a byte piece, such as 10 for `<0x0A>`.
    static func byte(ofPiece bytes: some Collection<UInt8>) -> UInt8? {
        guard bytes.count == 6, bytes.starts(with: "<0x".utf8), bytes.dropFirst(5).first == UInt8(ascii: ">") else {
            return nil
        }
        let digits = string(bytes.dropFirst(3).prefix(2))
        guard digits.allSatisfy({ $0.isNumber || $0.isUppercase }) else { return nil }
        return UInt8(digits, radix: 16)
    }

    private static func string(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: bytes, as: UTF8.self)
    }

    /// FNV-1a with its high bits folded in.
    private static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return Int(truncatingIfNeeded: hash ^ hash >> 32)
    }

    @inline(__always)
    private static func isEqual(_ text: [UInt8], _ start: Int, _ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        for index in 0..<bytes.count where text[start + index] != bytes[index] { return false }
        return true
    }
}

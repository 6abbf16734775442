import Testing
import Foundation
import Owl2Core
import Owl2Tokenizer

/// Writes SentencePiece models field by field, right ones and wrong ones.
struct ModelWriter {
    enum Kind: UInt64 { case normal = 1, unknown, control, userDefined, unused, byte }

    private(set) var bytes: [UInt8] = []

    mutating func raw(_ content: [UInt8]) {
        bytes += content
    }

    mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(value & 0x7F) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }

    mutating func integer(_ field: UInt64, _ value: UInt64) {
        varint(field << 3)
        varint(value)
    }

    mutating func float(_ field: UInt64, _ value: Float) {
        varint(field << 3 | 5)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
    }

    mutating func content(_ field: UInt64, _ content: some Collection<UInt8>) {
        varint(field << 3 | 2)
        varint(UInt64(content.count))
        bytes += content
    }

    mutating func message(_ field: UInt64, _ write: (inout ModelWriter) -> Void) {
        var inner = ModelWriter()
        write(&inner)
        content(field, inner.bytes)
    }

    mutating func piece(_ text: some Collection<UInt8>, _ score: Float = 0, _ kind: Kind = .normal) {
        message(1) {
            $0.content(1, text)
            $0.float(2, score)
            if kind != .normal { $0.integer(3, kind.rawValue) }
        }
    }

    mutating func piece(_ text: String, _ score: Float = 0, _ kind: Kind = .normal) {
        piece(Array(text.utf8), score, kind)
    }

    /// `<unk>`, `<s>` and `</s>` as 0, 1 and 2.
    mutating func controlPieces() {
        piece("<unk>", 0, .unknown)
        piece("<s>", 0, .control)
        piece("</s>", 0, .control)
    }

    mutating func bytePieces() {
        for byte in 0..<256 { piece(Self.bytePiece(byte), 0, .byte) }
    }

    static func bytePiece(_ byte: Int) -> String {
        "<0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true) + ">"
    }

    mutating func trainerSpec(
        type: UInt64 = 2, byteFallback: Bool = false, _ more: (inout ModelWriter) -> Void = { _ in }
    ) {
        message(2) {
            $0.integer(3, type)
            $0.integer(35, byteFallback ? 1 : 0)
            more(&$0)
        }
    }

    mutating func normalizerSpec(dummyPrefix: Bool = false, _ more: (inout ModelWriter) -> Void = { _ in }) {
        message(3) {
            $0.content(1, Array("identity".utf8))
            $0.integer(3, dummyPrefix ? 1 : 0)
            $0.integer(4, 0)
            more(&$0)
        }
    }

    func tokenizer(isLegacy: Bool = true, addsBeginningOfSequence: Bool = true) throws -> Tokenizer {
        try Tokenizer(
            model: ByteRegion(name: "tokenizer.model", copying: bytes),
            configuration: TokenizerConfiguration(isLegacy: isLegacy, addsBeginningOfSequence: addsBeginningOfSequence))
    }

    /// A sound model: control tokens (0, 1, 2), bytes if wanted, then the given pieces.
    static func model(
        byteFallback: Bool = false, dummyPrefix: Bool = false, _ write: (inout ModelWriter) -> Void
    ) -> ModelWriter {
        var writer = ModelWriter()
        writer.controlPieces()
        if byteFallback { writer.bytePieces() }
        write(&writer)
        writer.trainerSpec(byteFallback: byteFallback)
        writer.normalizerSpec(dummyPrefix: dummyPrefix)
        return writer
    }
}

/// The vocabularies that goldens exist for.
enum GoldenVocabulary: String {
    /// 768 pieces, among the fixtures.
    case tinyowl
    /// The published 32,000 pieces, which are not among the fixtures.
    case llama

    static var llamaPath: String? { ProcessInfo.processInfo.environment["OWL2_LLAMA_TOKENIZER"] }

    func tokenizer(isLegacy: Bool = true) throws -> Tokenizer {
        let path = self == .llama ? Self.llamaPath : try Fixture.path("tokenizer.model")
        return try Tokenizer(
            model: ByteRegion(mappingFile: path ?? ""), configuration: TokenizerConfiguration(isLegacy: isLegacy))
    }

    func goldens() throws -> Goldens {
        try ByteRegion(mappingFile: Fixture.path(rawValue + ".json")).decodeJSON(Goldens.self)
    }
}

/// What `Fixtures/make_goldens.py` writes.
struct Goldens: Decodable {
    struct Text: Decodable {
        let text: String
        let ids: [Int]
        let continuation: [Int]
        let decoded: String
    }
    struct Prompt: Decodable {
        let raw: String
        let legacy: [Int]
        let modern: [Int]
    }
    struct Decoding: Decodable {
        let ids: [Int]
        let text: String
    }
    let texts: [Text]
    let prompts: [Prompt]
    let decodings: [Decoding]
}

enum Fixture {
    static func path(_ name: String) throws -> String {
        guard let directory = Bundle.module.resourceURL else {
            throw Owl2Error(.unreadableFile, "the test bundle has no resources")
        }
        return directory.appendingPathComponent("Fixtures/\(name)").path
    }
}

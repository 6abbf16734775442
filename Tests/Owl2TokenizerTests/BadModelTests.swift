import Owl2Core
import Owl2Tokenizer
import Testing

/// A broken or foreign `tokenizer.model` is refused with an error that says why, and never crashes.
@Suite struct BadModelTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: Owl2Error.Code
        let message: String
        let write: @Sendable (inout ModelWriter) -> Void

        init(
            _ name: String, _ code: Owl2Error.Code, _ message: String,
            _ write: @escaping @Sendable (inout ModelWriter) -> Void
        ) {
            (testDescription, self.code, self.message, self.write) = (name, code, message, write)
        }

        init(_ name: String, _ message: String, _ write: @escaping @Sendable (inout ModelWriter) -> Void) {
            self.init(name, .malformedFile, message, write)
        }
    }

    /// Cases of pieces, between the control pieces and sound specs.
    static let pieceCases: [Case] = [
        Case("duplicate piece", "pieces 3 and 4 are the same: 'ab'") {
            $0.piece("ab"); $0.piece("ab")
        },
        Case("piece spelled as a control token", "pieces 1 and 3 are the same: '<s>'") { $0.piece("<s>") },
        Case("empty piece", "piece 3 is empty") { $0.piece("") },
        Case("piece without text", "piece 3 is empty") { $0.message(1) { $0.float(2, 0) } },
        Case("piece that is not UTF-8", "piece 3 is not valid UTF-8") { $0.piece([0x61, 0xFF]) },
        Case("NaN score", "piece 3 has the score nan") { $0.piece("a", .nan) },
        Case("infinite score", "piece 3 has the score inf") { $0.piece("a", .infinity) },
        Case("two unknown pieces", "pieces 0 and 3 both stand for what is unknown") { $0.piece("[?]", 0, .unknown) },
        Case("unknown type of piece", "piece 3 has the unknown type 9") {
            $0.message(1) {
                $0.content(1, [0x61]); $0.integer(3, 9)
            }
        },
        Case("score as an integer", "score of piece 3") { $0.message(1) { $0.integer(2, 1) } },
        Case("piece as an integer", "piece 3 at byte") { $0.integer(1, 1) },
        Case("byte piece without byte fallback", "byte_fallback is off") { $0.piece("<0x41>", 0, .byte) },
        Case("group", "unsupported wire type 3") { $0.varint(1 << 3 | 3) },
        Case("field number zero", "invalid number 0") { $0.varint(0) },
        Case("number of more than 64 bits", "more than 64 bits") {
            $0.varint(9 << 3); $0.raw([UInt8](repeating: 0xFF, count: 9) + [2])
        },
        Case("piece past the end", "says that it has 9223372036854775807 bytes") {
            $0.varint(1 << 3 | 2)
            $0.varint(UInt64(Int64.max))
        },
        Case("text past the end of its piece", "has 18446744073709551615 bytes, but only 1 are left") {
            $0.message(1) {
                $0.varint(1 << 3 | 2); $0.varint(.max); $0.varint(0)
            }
        },
    ]

    @Test(arguments: pieceCases)
    func badPieces(_ badCase: Case) throws {
        try expectError(ModelWriter.model(badCase.write), badCase)
    }

    /// Cases that write everything.
    static let modelCases: [Case] = [
        Case("empty file", "it has no pieces") { _ in },
        Case("no pieces", "it has no pieces") {
            $0.trainerSpec(); $0.normalizerSpec()
        },
        Case("no trainer spec", "it has no trainer_spec") {
            $0.controlPieces(); $0.normalizerSpec()
        },
        Case("no normalizer spec", "it has no normalizer_spec") {
            $0.controlPieces(); $0.trainerSpec()
        },
        Case("no unknown piece", "no piece stands for what is unknown") {
            $0.piece("<s>", 0, .control); $0.piece("</s>", 0, .control); $0.trainerSpec(); $0.normalizerSpec()
        },
        Case("no end token", "no control piece '</s>'") {
            $0.piece("<unk>", 0, .unknown); $0.piece("<s>", 0, .control); $0.piece("</s>")
            $0.trainerSpec(); $0.normalizerSpec()
        },
        Case("missing byte", "the piece of byte 255 is missing") {
            $0.controlPieces()
            for byte in 0..<255 { $0.piece(ModelWriter.bytePiece(byte), 0, .byte) }
            $0.trainerSpec(byteFallback: true); $0.normalizerSpec()
        },
        Case("misspelled byte", "the byte piece 3 is '<0x0a>'") {
            $0.controlPieces(); $0.piece("<0x0a>", 0, .byte); $0.trainerSpec(byteFallback: true); $0.normalizerSpec()
        },
        Case("unigram", .unsupportedFormat, "unigram") {
            $0.controlPieces(); $0.trainerSpec(type: 1); $0.normalizerSpec()
        },
        Case("no type, which means unigram", .unsupportedFormat, "unigram") {
            $0.controlPieces(); $0.message(2) { $0.integer(35, 0) }; $0.normalizerSpec()
        },
        Case("word", .unsupportedFormat, "word") {
            $0.controlPieces(); $0.trainerSpec(type: 3); $0.normalizerSpec()
        },
        Case("char", .unsupportedFormat, "char") {
            $0.controlPieces(); $0.trainerSpec(type: 4); $0.normalizerSpec()
        },
        Case("type of the future", .unsupportedFormat, "77") {
            $0.controlPieces(); $0.trainerSpec(type: 77); $0.normalizerSpec()
        },
        Case("character map", .unsupportedFormat, "precompiled_charsmap") {
            $0.controlPieces(); $0.trainerSpec(); $0.normalizerSpec { $0.content(2, [1, 2, 3]) }
        },
        Case("white space removed", .unsupportedFormat, "remove_extra_whitespaces") {
            $0.controlPieces(); $0.trainerSpec(); $0.normalizerSpec { $0.integer(4, 1) }
        },
        Case("white space removed by default", .unsupportedFormat, "remove_extra_whitespaces") {
            $0.controlPieces(); $0.trainerSpec(); $0.message(3) { $0.integer(3, 1) }
        },
        Case("spaces unescaped", .unsupportedFormat, "escape_whitespaces") {
            $0.controlPieces(); $0.trainerSpec(); $0.normalizerSpec { $0.integer(5, 0) }
        },
        Case("white space as suffix", .unsupportedFormat, "treat_whitespace_as_suffix") {
            $0.controlPieces(); $0.trainerSpec { $0.integer(24, 1) }; $0.normalizerSpec()
        },
        Case("denormalizer", .unsupportedFormat, "precompiled_charsmap") {
            $0.controlPieces(); $0.trainerSpec(); $0.normalizerSpec(); $0.message(5) { $0.content(2, [1]) }
        },
        Case("name that is not UTF-8", "eos_piece") {
            $0.controlPieces(); $0.trainerSpec { $0.content(47, [0xC0]) }; $0.normalizerSpec()
        },
    ]

    @Test(arguments: modelCases)
    func badModels(_ badCase: Case) throws {
        var writer = ModelWriter()
        badCase.write(&writer)
        try expectError(writer, badCase)
    }

    private func expectError(_ writer: ModelWriter, _ badCase: Case) throws {
        let error = try #require(throws: Owl2Error.self) { try writer.tokenizer() }
        #expect(error.code == badCase.code)
        #expect(error.message.hasPrefix("tokenizer.model: "))
        #expect(error.message.contains(badCase.message), "\(error.message)")
    }

    @Test func unknownFieldsAreSkipped() throws {
        let tokenizer = try ModelWriter.model { writer in
            writer.integer(200, .max)
            writer.content(201, [1, 2, 3])
            writer.float(202, 1)
            writer.message(1) {
                $0.content(1, [0x61]); $0.integer(99, 5)
            }
        }.tokenizer()
        #expect(tokenizer.encode("a") == [3])
    }

    @Test func hugeFilesAreRefusedUnread() throws {
        let huge = ByteRegion(name: "tokenizer.model", byteCount: (64 << 20) + 1) { _ in }
        let error = try #require(throws: Owl2Error.self) {
            try Tokenizer(model: huge, configuration: TokenizerConfiguration())
        }
        #expect(error.code == .malformedFile)
        #expect(error.message.contains("67108865 bytes"))
    }

    @Test func truncatedAtEveryLength() throws {
        let whole = try ByteRegion(mappingFile: Fixture.path("tokenizer.model"))
        for length in 0..<whole.count {
            #expect(throws: Owl2Error.self, "\(length) bytes") {
                try Tokenizer(model: whole[0..<length], configuration: TokenizerConfiguration())
            }
        }
    }

    @Test func damagedBytesNeverCrash() throws {
        let region = try ByteRegion(mappingFile: Fixture.path("tokenizer.model"))
        let whole = withExtendedLifetime(region) { Array(region.bytes) }
        var generator = SplitMix(state: 8)
        var refused = 0
        for _ in 0..<500 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            do {
                let tokenizer = try Tokenizer(
                    model: ByteRegion(name: "damaged", copying: bytes), configuration: TokenizerConfiguration())
                let ids = tokenizer.encode("What color is the circle? é中😀\0")
                #expect(ids.allSatisfy { 0..<tokenizer.vocabularySize ~= $0 })
                _ = try tokenizer.decode(ids)
            } catch is Owl2Error {
                refused += 1
            }
        }
        #expect(refused > 250)
    }
}

/// A reproducible generator (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

import Owl2Tokenizer
import Testing

/// The order of merges and the kinds of pieces, on vocabularies that are made by hand. Ids begin at 3.
@Suite struct MergingTests {
    @Test func theBestScoreGoesFirst() throws {
        let tokenizer = try ModelWriter.model { writer in
            for (text, score) in [("a", -9), ("b", -9), ("c", -9), ("ab", -2), ("bc", -1)] as [(String, Float)] {
                writer.piece(text, score)
            }
        }.tokenizer()
        #expect(tokenizer.encode("abc") == [3, 7])
        #expect(tokenizer.encode("ab") == [6])
    }

    @Test func equalScoresGoFromTheLeft() throws {
        let tokenizer = try ModelWriter.model { writer in
            for (text, score) in [("a", -9), ("b", -9), ("ab", -1), ("ba", -1), ("aa", -1)] as [(String, Float)] {
                writer.piece(text, score)
            }
        }.tokenizer()
        #expect(tokenizer.encode("aba") == [5, 3])
        #expect(tokenizer.encode("bab") == [6, 4])
        #expect(tokenizer.encode("aaaaa") == [7, 7, 3])
        #expect(tokenizer.encode("aab") == [7, 4])
    }

    @Test func zeroComesBeforeNegativeZero() throws {
        let tokenizer = try ModelWriter.model { writer in
            for (text, score) in [("a", -9), ("b", -9), ("c", -9), ("ab", -0.0), ("bc", 0)] as [(String, Float)] {
                writer.piece(text, score)
            }
        }.tokenizer()
        #expect(tokenizer.encode("abc") == [3, 7])
    }

    @Test func mergesNeedNoPiecesOfTheirParts() throws {
        let tokenizer = try ModelWriter.model { writer in
            writer.piece("xy")
            writer.piece("xyz")
        }.tokenizer()
        #expect(tokenizer.encode("xyz") == [4])
        #expect(tokenizer.encode("yz") == [0])
    }

    @Test func userDefinedPiecesAreNeverMerged() throws {
        let tokenizer = try ModelWriter.model { writer in
            writer.piece("a", -1)
            writer.piece("b", -1)
            writer.piece("ab", -1)
            writer.piece("b!", 0, .userDefined)
            writer.piece("b!?", 0, .userDefined)
            writer.piece("ab!", 0)
        }.tokenizer()
        #expect(tokenizer.encode("ab!") == [3, 6])
        #expect(tokenizer.encode("ab!?ab") == [3, 7, 5])
        #expect(tokenizer.encode("b!b!") == [6, 6])
    }

    @Test func unusedPiecesAreTakenApart() throws {
        let tokenizer = try ModelWriter.model { writer in
            for text in ["a", "b", "c"] { writer.piece(text, -9) }
            writer.piece("ab", -1, .unused)
            writer.piece("abc", -2, .unused)
            writer.piece("abca", -3)
        }.tokenizer()
        #expect(tokenizer.encode("ab") == [3, 4])
        #expect(tokenizer.encode("abc") == [3, 4, 5])
        #expect(tokenizer.encode("abcab") == [3, 4, 5, 3, 4])
        #expect(tokenizer.encode("abca") == [8])
    }

    @Test func unusedCharactersAreUnknown() throws {
        let pieces: (inout ModelWriter) -> Void = { $0.piece("a", 0, .unused) }
        #expect(try ModelWriter.model(pieces).tokenizer().encode("a") == [0])
        #expect(try ModelWriter.model(byteFallback: true, pieces).tokenizer().encode("a") == [3 + 0x61])
    }

    @Test func unknownCharactersAreBytesOrOneTokenPerRun() throws {
        let pieces: (inout ModelWriter) -> Void = { $0.piece("a") }
        let plain = try ModelWriter.model(pieces).tokenizer()
        #expect(plain.encode("xyzaüa") == [0, 3, 0, 3])
        #expect(try plain.decode([0, 3, 1, 0]) == " \u{2047} a \u{2047} ")
        let bytes = try ModelWriter.model(byteFallback: true, pieces).tokenizer()
        #expect(bytes.encode("xaü") == [3 + 0x78, 259, 3 + 0xC3, 3 + 0xBC])
    }

    @Test func theUnknownTokenHasTheModelsSurface() throws {
        var writer = ModelWriter()
        writer.controlPieces()
        writer.trainerSpec { $0.content(44, Array("[?]".utf8)) }
        writer.normalizerSpec()
        #expect(try writer.tokenizer().decode([0]) == "[?]")
    }

    @Test func dummyPrefixIsTheModels() throws {
        for hasPrefix in [true, false] {
            let tokenizer = try ModelWriter.model(dummyPrefix: hasPrefix) { writer in
                writer.piece("▁")
                writer.piece("a")
            }.tokenizer()
            #expect(tokenizer.encode("a a") == (hasPrefix ? [3, 4, 3, 4] : [4, 3, 4]))
            #expect(tokenizer.encode("") == [])
            #expect(try tokenizer.decode([3, 4, 3, 4]) == (hasPrefix ? "a a" : " a a"))
            #expect(try tokenizer.decode([1, 3, 3, 4]) == (hasPrefix ? " a" : "  a"))
        }
    }

    @Test func canonicallyEquivalentPiecesAreDifferent() throws {
        let tokenizer = try ModelWriter.model { writer in
            writer.piece("\u{E9}")
            writer.piece("e")
            writer.piece("\u{301}")
            writer.piece("e\u{301}")
        }.tokenizer()
        #expect(tokenizer.encode("\u{E9}") == [3])
        #expect(tokenizer.encode("e\u{301}") == [6])
        #expect(tokenizer.encode("\u{301}e") == [5, 4])
    }

    @Test func namesOfSpecialPiecesAreTheModels() throws {
        var writer = ModelWriter()
        writer.piece("[BOS]", 0, .control)
        writer.piece("[PAD]", 0, .control)
        writer.piece("[EOS]", 0, .control)
        writer.piece("[UNK]", 0, .unknown)
        writer.trainerSpec { spec in
            for (field, name) in [(45, "[UNK]"), (46, "[BOS]"), (47, "[EOS]"), (48, "[PAD]")] as [(UInt64, String)] {
                spec.content(field, Array(name.utf8))
            }
        }
        writer.normalizerSpec()
        let tokenizer = try writer.tokenizer()
        #expect(tokenizer.beginningOfSequenceID == 0)
        #expect(tokenizer.padID == 1)
        #expect(tokenizer.endOfSequenceID == 2)
        #expect(tokenizer.unknownID == 3)
        #expect(tokenizer.segments(ofRawPrompt: "[EOS]<s>") == [.control(2), .text("<s>")])
    }

    @Test func longTextsWithoutSpaces() throws {
        let tokenizer = try ModelWriter.model(byteFallback: true) { writer in
            for length in 1...10 { writer.piece(String(repeating: "a", count: 1 << length), Float(-length)) }
        }.tokenizer()
        let ids = tokenizer.encode(String(repeating: "a", count: 1 << 15))
        #expect(ids == [Int](repeating: 3 + 256 + 9, count: 1 << 5))
        let unmerged = tokenizer.encode(String(repeating: "中", count: 1 << 14))
        #expect(unmerged.count == 3 << 14)
    }
}

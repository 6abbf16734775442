import Owl2Core
import Owl2Tokenizer
import Testing

/// The streaming detokenizer gives the same text as decoding all at once, and never part of a character.
@Suite struct StreamingTests {
    /// The ids of bytes in a vocabulary whose byte pieces begin at 3.
    private func ids(_ bytes: [UInt8]) -> [Int] {
        bytes.map { 3 + Int($0) }
    }

    @Test func deltasMakeUpTheText() throws {
        let tokenizer = try GoldenVocabulary.tinyowl.tokenizer()
        for golden in try GoldenVocabulary.tinyowl.goldens().decodings {
            var detokenizer = StreamingDetokenizer(tokenizer)
            var text: [UInt8] = []
            for id in golden.ids { text += Array(detokenizer.append(id).utf8) }
            text += Array(detokenizer.finish().utf8)
            #expect(text == Array(golden.text.utf8), "\(golden.ids)")
        }
    }

    @Test func charactersComeWhole() throws {
        var detokenizer = StreamingDetokenizer(try GoldenVocabulary.tinyowl.tokenizer())
        let deltas = ids(Array("é中😀a".utf8)).map { detokenizer.append($0) }
        #expect(deltas == ["", "é", "", "", "中", "", "", "", "😀", "a"])
        #expect(detokenizer.finish() == "")
    }

    @Test(
        arguments: [
            ([0xE4, 0xB8], ["", ""], "\u{FFFD}\u{FFFD}"),
            ([0xE4, 0x41], ["", "\u{FFFD}A"], ""),
            ([0xF0, 0x9F, 0x41], ["", "", "\u{FFFD}\u{FFFD}A"], ""),
            ([0x80, 0xFF], ["\u{FFFD}", "\u{FFFD}"], ""),
            ([0xC0, 0x80], ["\u{FFFD}", "\u{FFFD}"], ""),
            ([0xE0, 0x9F], ["", "\u{FFFD}\u{FFFD}"], ""),
            ([0xED, 0xA0], ["", "\u{FFFD}\u{FFFD}"], ""),
            ([0xF4, 0x90], ["", "\u{FFFD}\u{FFFD}"], ""),
            ([0xEF, 0xBF, 0xBD], ["", "", "\u{FFFD}"], ""),
            ([0xF0, 0xE4, 0xB8, 0xAD], ["", "\u{FFFD}", "", "中"], ""),
        ] as [([UInt8], [String], String)])
    func brokenCharacters(bytes: [UInt8], deltas: [String], rest: String) throws {
        let tokenizer = try GoldenVocabulary.tinyowl.tokenizer()
        var detokenizer = StreamingDetokenizer(tokenizer)
        #expect(ids(bytes).map { detokenizer.append($0) } == deltas)
        #expect(detokenizer.finish() == rest)
        #expect(try tokenizer.decode(ids(bytes)) == deltas.joined() + rest)
    }

    @Test func aCutCharacterIsGivenUpBeforeTheNextPiece() throws {
        let tokenizer = try GoldenVocabulary.tinyowl.tokenizer()
        var detokenizer = StreamingDetokenizer(tokenizer)
        #expect(detokenizer.append(3 + 0xE4) == "")
        #expect(detokenizer.append(259) == "\u{FFFD} t")
        #expect(detokenizer.append(3 + 0xF0) == "")
        #expect(detokenizer.append(2) == "\u{FFFD}")
    }

    @Test func onlyTheFirstSpaceIsDropped() throws {
        let tokenizer = try GoldenVocabulary.tinyowl.tokenizer()
        var detokenizer = StreamingDetokenizer(tokenizer)
        #expect(detokenizer.append(1) == "")
        #expect(detokenizer.append(259) == "t")
        #expect(detokenizer.append(259) == " t")
        #expect(detokenizer.finish() == "")
        #expect(detokenizer.append(259) == "t", "finishing begins a new text")
    }

    @Test func idsOutOfRangeArePassedOver() throws {
        var detokenizer = StreamingDetokenizer(try GoldenVocabulary.tinyowl.tokenizer())
        #expect([3 + 0xC3, 768, -200, .max, 3 + 0xA9].map { detokenizer.append($0) } == ["", "", "", "", "é"])
    }
}

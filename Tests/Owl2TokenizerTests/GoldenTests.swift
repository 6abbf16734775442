import Owl2Core
import Owl2Tokenizer
import Testing

/// Token ids and texts equal SentencePiece's, case by case.
@Suite struct GoldenTests {
    @Test func bundledVocabulary() throws {
        try compare(.tinyowl)
    }

    @Test(
        .enabled(
            if: GoldenVocabulary.llamaPath != nil,
            "set OWL2_LLAMA_TOKENIZER to the path of LLaMA's tokenizer.model to compare with its 32,000 pieces"))
    func llamaVocabulary() throws {
        try compare(.llama)
    }

    private func compare(_ vocabulary: GoldenVocabulary) throws {
        let goldens = try vocabulary.goldens()
        #expect(goldens.texts.count > 200 && goldens.prompts.count > 20 && goldens.decodings.count > 200)
        let legacy = try vocabulary.tokenizer()
        let modern = try vocabulary.tokenizer(isLegacy: false)
        for golden in goldens.texts {
            let name = golden.text.debugDescription
            #expect(legacy.encode(golden.text) == golden.ids, "\(name)")
            #expect(modern.encode(golden.text) == golden.ids, "\(name)")
            #expect(legacy.encode([.text(golden.text)]) == [1] + golden.ids, "plain text \(name)")
            #expect(
                modern.encode([.control(2), .text(golden.text)], addBeginningOfSequence: false)
                    == [2] + golden.continuation, "behind a control token: \(name)")
            #expect(Array(try legacy.decode(golden.ids).utf8) == Array(golden.decoded.utf8), "decoding of \(name)")
        }
        for golden in goldens.prompts {
            #expect(legacy.encode(legacy.segments(ofRawPrompt: golden.raw)) == golden.legacy, "\(golden.raw)")
            #expect(modern.encode(modern.segments(ofRawPrompt: golden.raw)) == golden.modern, "\(golden.raw)")
        }
        for golden in goldens.decodings {
            #expect(Array(try legacy.decode(golden.ids).utf8) == Array(golden.text.utf8), "\(golden.ids)")
        }
    }

    @Test func properties() throws {
        let tokenizer = try GoldenVocabulary.tinyowl.tokenizer()
        #expect(tokenizer.vocabularySize == 768)
        #expect(tokenizer.unknownID == 0)
        #expect(tokenizer.beginningOfSequenceID == 1)
        #expect(tokenizer.endOfSequenceID == 2)
        #expect(tokenizer.padID == nil)
        #expect(tokenizer.piece(1) == "<s>")
        #expect(tokenizer.piece(13) == "<0x0A>")
        #expect(tokenizer.piece(259) == "▁t")
        #expect(tokenizer.piece(-1) == nil)
        #expect(tokenizer.piece(768) == nil)
    }

    @Test(arguments: [-200, -1, 768, Int.max, Int.min])
    func idsOutOfRangeAreRefused(id: Int) throws {
        let tokenizer = try GoldenVocabulary.tinyowl.tokenizer()
        let error = try #require(throws: Owl2Error.self) { try tokenizer.decode([300, id]) }
        #expect(error.code == .invalidInput)
        #expect(error.message.contains("\(id)") && error.message.contains("767"))
    }
}

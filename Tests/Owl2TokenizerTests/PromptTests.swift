import Owl2Core
import Owl2Tokenizer
import Testing

/// How prompts fall into segments, and what segments become.
@Suite struct PromptTests {
    /// Letters and a space are pieces of their own; nothing is merged.
    private let model = ModelWriter.model(byteFallback: true, dummyPrefix: true) { writer in
        for text in ["▁", "a", "b"] { writer.piece(text) }
    }
    private static let (space, a, b) = (259, 260, 261)

    @Test func rawPromptsFallIntoSegments() throws {
        let tokenizer = try model.tokenizer()
        #expect(
            tokenizer.segments(ofRawPrompt: "<s>a<|image|><|image|> b</s><unk>")
                == [.control(1), .text("a"), .image, .image, .text(" b"), .control(2), .control(0)])
        #expect(tokenizer.segments(ofRawPrompt: "") == [])
        #expect(tokenizer.segments(ofRawPrompt: "<s<|image|>>") == [.text("<s"), .image, .text(">")])
        #expect(tokenizer.segments(ofRawPrompt: "<<|image|") == [.text("<<|image|")])
        // A combining mark makes one Character with the marker's last byte, but the marker is still there.
        #expect(
            tokenizer.segments(ofRawPrompt: "<|image|>\u{301}</s>\u{301}")
                == [.image, .text("\u{301}"), .control(2), .text("\u{301}")])
    }

    @Test(arguments: ["</s>", "<s>", "<unk>", "<|image|>", "</s><|image|>", "a<s>b", "<0x0A>", "▁</s>"])
    func plainTextNeverBecomesControl(text: String) throws {
        for tokenizer in [try model.tokenizer(), try GoldenVocabulary.tinyowl.tokenizer()] {
            for ids in [tokenizer.encode(text), tokenizer.encode([.text(text)], addBeginningOfSequence: false)] {
                #expect(ids.allSatisfy { $0 > 2 })
                #expect(try tokenizer.decode(ids) == text.replacing("▁", with: " "))
            }
        }
    }

    @Test func neighbouringTextsAreOneStretch() throws {
        let tokenizer = try GoldenVocabulary.tinyowl.tokenizer()
        #expect(
            tokenizer.encode([.text("What col"), .text(""), .text("or is it?")])
                == tokenizer.encode([.text("What color is it?")]))
        #expect(tokenizer.encode([.text(""), .image, .text("")]) == [1, -200])
        // Markers that only come about between two texts stay text.
        let ids = tokenizer.encode([.text("<|ima"), .text("ge|></"), .text("s>")])
        #expect(ids == [1] + tokenizer.encode("<|image|></s>"))
    }

    @Test(arguments: [true, false])
    func everyChunkHasItsOwnFirstStretch(isLegacy: Bool) throws {
        let tokenizer = try model.tokenizer(isLegacy: isLegacy)
        let (space, a, b) = (Self.space, Self.a, Self.b)
        let behindControl = isLegacy ? [space, a] : [a]
        #expect(tokenizer.encode([.text("a"), .control(2), .text("a")]) == [1, space, a, 2] + behindControl)
        #expect(tokenizer.encode([.control(2), .text("a")]) == [1, 2] + behindControl)
        #expect(tokenizer.encode([.text(""), .control(2), .text(""), .text("a")]) == [1, 2] + behindControl)
        #expect(
            tokenizer.encode([.control(2), .image, .text("a"), .image, .text("b")])
                == [1, 2, -200, space, a, -200, space, b])
    }

    @Test func beginningOfSequence() throws {
        let always = try model.tokenizer()
        #expect(always.encode([]) == [1])
        #expect(always.encode([.image]) == [1, -200])
        #expect(always.encode([.image], addBeginningOfSequence: false) == [-200])
        let never = try model.tokenizer(addsBeginningOfSequence: false)
        #expect(never.encode([.image]) == [-200])
    }

    @Test(arguments: [
        ("{}", true, true), (#"{"legacy": false}"#, false, true),
        (#"{"legacy": null, "add_bos_token": false}"#, true, false),
        (#"{"legacy": true, "tokenizer_class": "LlamaTokenizer", "bos_token": {"content": "<s>"}}"#, true, true),
    ])
    func configuration(json: String, isLegacy: Bool, addsBeginningOfSequence: Bool) throws {
        let region = ByteRegion(name: "tokenizer_config.json", copying: Array(json.utf8))
        let configuration = try region.decodeJSON(TokenizerConfiguration.self)
        #expect(configuration.isLegacy == isLegacy)
        #expect(configuration.addsBeginningOfSequence == addsBeginningOfSequence)
    }

    @Test func configurationOfAnotherTypeNamesItsKey() throws {
        let region = ByteRegion(name: "tokenizer_config.json", copying: Array(#"{"legacy": "no"}"#.utf8))
        let error = try #require(throws: Owl2Error.self) { try region.decodeJSON(TokenizerConfiguration.self) }
        #expect(error.message.contains("tokenizer_config.json") && error.message.contains("legacy"))
    }
}

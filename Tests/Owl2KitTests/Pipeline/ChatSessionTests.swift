import Foundation
import Owl2Decoder
import Testing

@testable import Owl2Kit

@Suite struct ChatSessionTests {
    /// The logits behind a session's tokens: from its cache, and from one prefill of the same ids.
    private func compare(
        _ chat: ChatSession, _ owl: Owl2Pipeline, images: [Image], _ what: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let tokens = await chat.tokens, pending = await chat.pendingCount, cache = await chat.cache
        let next = [2, 40]  // an end token and another one behind it
        let cached = try owl.model.prefill(
            owl.model.splice(tokens.suffix(pending) + next, imageMarkerID: Tokenizer.imageMarkerID, images: []),
            into: cache, wanting: .last)
        cache.truncate(to: cache.count - pending - next.count)
        let embeddings = try await owl.embed(images).map(\.rows)
        let whole = try owl.model.prefill(
            owl.model.splice(tokens + next, imageMarkerID: Tokenizer.imageMarkerID, images: embeddings),
            into: owl.makeCache(), wanting: .last)
        expectClose(cached.values, whole.values, ofLargest: 1e-5, what, sourceLocation: sourceLocation)
    }

    @Test("Turns about a picture are answered, and only what is new is prefilled") func turns() async throws {
        let owl = try await TestModels.bundled.value
        let chat = ChatSession(owl)
        #expect(try await chat.respond(to: "What color is the circle?", images: [TestModels.redCircle]) == "Red")
        let before = await chat.cache.count
        #expect(try await chat.respond(to: "What shape is red?") == "Circle")
        #expect(try await chat.respond(to: "What is the background color?") == "White")
        let tokens = await chat.tokens
        #expect(await chat.cache.count > before && tokens.filter { $0 == Tokenizer.imageMarkerID }.count == 1)
        #expect(tokens.filter { $0 == 2 }.count == 2 && tokens.filter { $0 == 1 }.count == 1)
        let template = "USER: <|image|>What color is the circle? ASSISTANT: Red</s>USER: What shape is red? ASSISTANT:"
        let expected = try owl.prepare(.raw(template, images: [TestModels.redCircle])).tokens
        #expect(Array(tokens.prefix(expected.count)) == expected)
        try await compare(chat, owl, images: [TestModels.redCircle], "three turns")
    }

    @Test("A turn after a stop by length, by a stop string, and a picture in a later turn") func stops() async throws {
        let owl = try await TestModels.bundled.value
        let byLength = ChatSession(owl, parameters: GenerateParameters(maxNewTokens: 2))
        _ = try await byLength.respond(to: "Describe the image.", images: [TestModels.redCircle])
        #expect(await byLength.pendingCount == 1)
        try await compare(byLength, owl, images: [TestModels.redCircle], "stop by length")
        _ = try await byLength.respond(to: "What shape is blue?", images: [TestModels.blueSquare])
        try await compare(
            byLength, owl, images: [TestModels.redCircle, TestModels.blueSquare], "a picture in a later turn")
        let byText = ChatSession(owl, parameters: GenerateParameters(stopSequences: ["circle"]))
        let answer = try await byText.respond(to: "Describe the image.", images: [TestModels.redCircle])
        #expect(answer.hasSuffix("red"))
        try await compare(byText, owl, images: [TestModels.redCircle], "stop by text")
        #expect(try await byText.respond(to: "What is the background color?") == "White")
    }

    @Test("After a cancellation in an answer the conversation goes on") func cancelledAnswer() async throws {
        let owl = try await TestModels.bundled.value
        let chat = ChatSession(owl, parameters: GenerateParameters(maxNewTokens: 300, minNewTokens: 300))
        let pieces = Collected<String>()
        let turn = Task {
            try await chat.takeTurn(UserInput(prompt: "Describe the image.", images: [TestModels.redCircle]), nil) {
                pieces.append($0)
                if pieces.values.count == 4 { withUnsafeCurrentTask { $0?.cancel() } }
            }
        }
        await #expect(throws: CancellationError.self) { try await turn.value }
        #expect(pieces.values.count == 4)
        let answer = await chat.tokens.suffix(from: chat.tokens.count - 4)
        #expect(try pieces.values.joined().hasSuffix(owl.tokenizer.decode(Array(answer.suffix(1)))))
        try await compare(chat, owl, images: [TestModels.redCircle], "cancelled in an answer")
    }

    @Test("A turn that is cancelled or refused before its answer leaves no trace") func cancelledPrefill() async throws
    {
        let owl = try await TestModels.bundled.value
        let chat = ChatSession(owl)
        _ = try await chat.respond(to: "What color is the circle?", images: [TestModels.redCircle])
        let before = await (chat.tokens, chat.cache.count)
        let stream = chat.streamResponse(to: "Describe the image.", images: [TestModels.blueSquare]) { progress in
            if progress.stage == .prefill { withUnsafeCurrentTask { $0?.cancel() } }
        }
        await #expect(throws: CancellationError.self) { for try await _ in stream {} }
        #expect(await (chat.tokens, chat.cache.count) == before)
        await expectError(.contextExceeded, mentioning: "512") {
            try await chat.respond(to: String(repeating: "star ", count: 500))
        }
        await expectError(.unreadableFile, mentioning: "absent.png") {
            try await chat.respond(to: "What?", images: [.file(URL(fileURLWithPath: "absent.png"))])
        }
        #expect(await (chat.tokens, chat.cache.count) == before)
        #expect(try await chat.respond(to: "What shape is red?") == "Circle")
    }

    @Test("Reset forgets") func reset() async throws {
        let owl = try await TestModels.bundled.value
        let chat = ChatSession(owl)
        _ = try await chat.respond(to: "What color is the circle?", images: [TestModels.redCircle])
        await chat.reset()
        #expect(await chat.tokens.isEmpty)
        #expect(try await chat.respond(to: "What shape is blue?", images: [TestModels.blueSquare]) == "Square")
    }

    @Test("Turns that are asked for at once take place one after another") func queue() async throws {
        let owl = try await TestModels.bundled.value
        let chat = ChatSession(owl)
        _ = try await chat.respond(to: "What color is the circle?", images: [TestModels.redCircle])
        async let first = chat.respond(to: "What shape is red?")
        async let second = chat.respond(to: "What is the background color?")
        #expect(try await (first, second) == ("Circle", "White"))
        try await compare(chat, owl, images: [TestModels.redCircle], "two turns at once")
    }
}

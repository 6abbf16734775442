import Foundation
import Owl2Decoder
import Testing

@testable import Owl2Kit

/// Verified guesses change no answer: tokens, text and the bits of the log-probabilities are those of one token at a time.
@Suite struct SpeculationTests {
    static let parameters: [GenerateParameters] = [
        GenerateParameters(maxNewTokens: 64, topLogprobs: 2),
        GenerateParameters(maxNewTokens: 41, minNewTokens: 41, repetitionPenalty: 1.2, topLogprobs: 1),
        GenerateParameters(maxNewTokens: 60, minNewTokens: 60, topLogprobs: 3),
        GenerateParameters(maxNewTokens: 50, minNewTokens: 20, presencePenalty: 0.4, frequencyPenalty: 0.2),
        GenerateParameters(maxNewTokens: 60, minNewTokens: 5, stopSequences: ["s", "red circle and"], topLogprobs: 1),
        GenerateParameters(maxNewTokens: 2, minNewTokens: 2, topLogprobs: 0),
    ]

    @Test("Random checkpoints", arguments: ParityTests.cases, [1, 4, 15])
    func checkpoints(reference: ParityTests.Case, draftCount: Int) async throws {
        let owl = try await reference.load()
        for (index, parameters) in Self.parameters.enumerated() {
            let plain = try await owl.whole(reference.input(), parameters)
            let guessed = try await owl.whole(reference.input(), parameters, speculation: .always(draftCount))
            #expect(plain.answer == guessed.answer, "\(reference.name), parameters \(index)")
            #expect(plain.info.draftTokenCount == 0)
            let automatic = try await owl.whole(reference.input(), parameters, speculation: .automatic)
            #expect(plain.answer == automatic.answer, "\(reference.name), parameters \(index)")
        }
    }

    @Test("The bundled model, at any number of threads", arguments: [1, 2, 7, 16])
    func bundled(threads: Int) async throws {
        let owl = try await Owl2Pipeline.bundled(options: LoadOptions(threadCount: threads))
        let input = UserInput(prompt: "Describe the image.", images: [TestModels.redCircle])
        var proposed = 0, accepted = 0
        for parameters in Self.parameters {
            let plain = try await owl.whole(input, parameters)
            let guessed = try await owl.whole(input, parameters, speculation: .always(6))
            #expect(plain.answer == guessed.answer)
            proposed += guessed.info.draftTokenCount
            accepted += guessed.info.acceptedDraftTokenCount
        }
        // answers that are forced to go on repeat themselves
        #expect(proposed > accepted && accepted > 20)
    }

    @Test("Keys and values of every type", arguments: [KeyValueType.f32, .f16, .q8_0])
    func keyValueTypes(type: KeyValueType) async throws {
        let owl = try await Owl2Pipeline.bundled(options: LoadOptions(threadCount: 2, keyValueType: type))
        let input = UserInput(prompt: "Describe the image.", images: [TestModels.redCircle])
        let parameters = GenerateParameters(maxNewTokens: 90, minNewTokens: 90, topLogprobs: 2)
        let plain = try await owl.whole(input, parameters)
        #expect(try await owl.whole(input, parameters, speculation: .always(7)).answer == plain.answer)
        let batch = try await owl.whole(
            [BatchItem(.raw("x")), BatchItem(input, parameters: parameters), BatchItem(.raw("y"))],
            maximumConcurrency: 2)
        #expect(batch[1] == plain.answer)
    }

    @Test("Under dynamic scaling guesses end at the original length") func dynamic() async throws {
        let reference = try #require(ParityTests.cases.first { $0.name == "sharded-safetensors-dynamic" })
        let owl = try await reference.load()
        let parameters = GenerateParameters(maxNewTokens: 70, minNewTokens: 70, topLogprobs: 2)
        for words in 1...6 {
            let input = UserInput.raw(String(repeating: "a b ", count: words))
            let plain = try await owl.whole(input, parameters)
            #expect(plain.answer.tokens.count + plain.info.promptTokenCount > 60)
            let guessed = try await owl.whole(input, parameters, speculation: .always(5))
            #expect(plain.answer == guessed.answer)
            #expect(guessed.info.draftTokenCount <= 5 * 40)
        }
    }

    @Test("Not with random numbers, not on OpenBLAS, and not if it is off") func off() async throws {
        let owl = try await TestModels.bundled.value
        let input = UserInput(prompt: "Describe the image.", images: [TestModels.redCircle])
        let random = GenerateParameters(maxNewTokens: 40, minNewTokens: 40, sampling: .random(seed: 3))
        #expect(try await owl.whole(input, random, speculation: .always(4)).info.draftTokenCount == 0)
        let greedy = GenerateParameters(maxNewTokens: 60, minNewTokens: 60)
        #expect(try await owl.whole(input, greedy, speculation: .off).info.draftTokenCount == 0)
        let cold = GenerateParameters(maxNewTokens: 60, minNewTokens: 60, sampling: .random(temperature: 0, seed: 3))
        #expect(try await owl.whole(input, cold, speculation: .always(4)).info.draftTokenCount > 0)
        let openBLAS = try await Owl2Pipeline.bundled(options: LoadOptions(threadCount: 1, backend: .openblas))
        #expect(try await openBLAS.whole(input, greedy, speculation: .always(4)).info.draftTokenCount == 0)
    }

    @Test("A conversation with guesses is the one without, and its cache holds no wrong one") func chat() async throws {
        let owl = try await TestModels.bundled.value
        let guessing = GenerateParameters(
            maxNewTokens: 30, minNewTokens: 25, stopSequences: ["Square"], topLogprobs: 1, speculation: .always(5))
        var plain = guessing
        plain.speculation = .off
        let first = ChatSession(owl, parameters: guessing), second = ChatSession(owl, parameters: plain)
        var drafts = 0
        for (question, images) in [
            ("Describe the image.", [TestModels.redCircle]), ("What shape is red?", []),
            ("Describe the image.", [TestModels.blueSquare]), ("Describe the image.", []),
        ] {
            let input = UserInput(prompt: question, images: images)
            let found = try await first.takeTurn(input, nil) { _ in }
            let expected = try await second.takeTurn(input, nil) { _ in }
            #expect(found.tokens == expected.tokens && found.logprobs == expected.logprobs)
            #expect(found.stopReason == expected.stopReason)
            #expect(await first.tokens == second.tokens)
            #expect(await first.cache.count == second.cache.count)
            #expect(await first.pendingCount == second.pendingCount)
            drafts += found.draftTokenCount
        }
        #expect(drafts > 0)
    }

    @Test("Cancelled among verified guesses, a conversation holds what was shown") func cancelledChat() async throws {
        let owl = try await TestModels.bundled.value
        let parameters = GenerateParameters(maxNewTokens: 300, minNewTokens: 300, speculation: .always(8))
        for limit in [1, 5, 20, 33] {
            let chat = ChatSession(owl, parameters: parameters)
            let turn = Task {
                var count = 0
                return try await chat.takeTurn(UserInput(prompt: "Describe the image."), nil) { _ in
                    count += 1
                    if count == limit { withUnsafeCurrentTask { $0?.cancel() } }
                }
            }
            await #expect(throws: CancellationError.self) { try await turn.value }
            let tokens = await chat.tokens, pending = await chat.pendingCount
            #expect(await chat.cache.count == tokens.count - pending)
            // what the cache holds is what a prefill of the same tokens gives
            let cached = try await owl.model.prefill(
                owl.model.splice(Array(tokens.suffix(pending)) + [40], imageMarkerID: -1, images: []), into: chat.cache)
            let whole = try owl.model.prefill(
                owl.model.splice(tokens + [40], imageMarkerID: -1, images: []), into: owl.makeCache()
            )
            #expect(cached.values == whole.values)
        }
    }
}

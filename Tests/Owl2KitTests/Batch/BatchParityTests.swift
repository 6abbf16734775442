import Foundation
import Testing

@testable import Owl2Kit

/// Every sequence of a batch gives what it gives alone: tokens, text and the bits of its log-probabilities.
@Suite struct BatchParityTests {
    /// Parameters of all kinds, one for each question of a batch.
    static let parameters: [GenerateParameters] = [
        GenerateParameters(maxNewTokens: 40, topLogprobs: 3),
        GenerateParameters(maxNewTokens: 25, sampling: .random(temperature: 1.5, seed: 7), topLogprobs: 2),
        GenerateParameters(maxNewTokens: 9, minNewTokens: 9, repetitionPenalty: 1.3, topLogprobs: 1),
        GenerateParameters(maxNewTokens: 30, minNewTokens: 3, stopSequences: ["e", "  "], topLogprobs: 0),
        GenerateParameters(
            maxNewTokens: 33, sampling: .random(temperature: 0.8, topP: 0.9, topK: 50, seed: 11), presencePenalty: 0.5,
            frequencyPenalty: 0.25, topLogprobs: 4),
        GenerateParameters(maxNewTokens: 1, topLogprobs: 2),
        GenerateParameters(maxNewTokens: 48, logitBias: [2: -5], topLogprobs: 2, speculation: .always(3)),
    ]

    /// The fixture's question whole and cut short, and questions without a picture, each with other parameters.
    private func items(_ reference: ParityTests.Case, _ owl: Owl2Pipeline, count: Int) throws -> [BatchItem] {
        let text = try String(
            contentsOf: reference.folder.appendingPathComponent("prompt.txt"), encoding: .utf8)
        let images = reference.images.map { Image.file(reference.folder.appendingPathComponent($0)) }
        let inputs: [UserInput] = [
            .raw(text, images: images), .raw("a"), .raw(text + " and", images: images),
            images.isEmpty ? .raw("USER: b") : .raw("x <|image|> y", images: [images[images.count - 1]]),
            .raw(String(repeating: "one two ", count: 4)),
        ]
        let room = owl.contextLength
        let fitting = try inputs.filter { try owl.tokenCount(of: $0) < room - 1 }
        return (0..<count).map {
            BatchItem(fitting[$0 % fitting.count], parameters: Self.parameters[$0 % Self.parameters.count])
        }
    }

    private func compare(
        _ owl: Owl2Pipeline, _ items: [BatchItem], _ concurrency: Int, _ expected: [WholeAnswer], _ what: String
    ) async throws {
        let found = try await owl.whole(items, maximumConcurrency: concurrency)
        for index in items.indices {
            #expect(found[index] == expected[index], "\(what): question \(index)")
        }
    }

    private func alone(_ owl: Owl2Pipeline, _ items: [BatchItem]) async throws -> [WholeAnswer] {
        var answers: [WholeAnswer] = []
        for item in items { answers.append(try await owl.whole(item.input, item.parameters).answer) }
        return answers
    }

    @Test("Random checkpoints, batches of several sizes", arguments: ParityTests.cases, [1, 2, 5, 16])
    func checkpoints(reference: ParityTests.Case, concurrency: Int) async throws {
        let owl = try await reference.load()
        let items = try items(reference, owl, count: 14)
        try await compare(owl, items, concurrency, alone(owl, items), reference.name)
    }

    @Test("Any number of threads", arguments: [1, 2, 3, 5, 16])
    func threads(count: Int) async throws {
        for reference in ParityTests.cases
        where ["sharded-safetensors-dynamic", "gelu-encoder"].contains(reference.name) {
            let single = try await reference.load(LoadOptions(threadCount: 1))
            let items = try items(reference, single, count: 10)
            let expected = try await alone(single, items)
            let owl = try await reference.load(LoadOptions(threadCount: count))
            try await compare(owl, items, 4, expected, "\(count) threads")
            #expect(try await alone(owl, items) == expected)
        }
    }

    @Test("Under dynamic scaling, sequences past the original length beside shorter ones") func dynamic() async throws {
        let reference = try #require(ParityTests.cases.first { $0.name == "sharded-safetensors-dynamic" })
        let owl = try await reference.load()
        // 40 positions originally, 80 with scaling: prompts on both sides, answers that cross
        var items: [BatchItem] = []
        for words in [1, 6, 12, 20, 30] {
            let input = UserInput.raw(String(repeating: "a b ", count: words))
            guard try owl.tokenCount(of: input) < 78 else { continue }
            items.append(
                BatchItem(input, parameters: GenerateParameters(maxNewTokens: 60, minNewTokens: 60, topLogprobs: 2)))
        }
        let counts = try items.map { try owl.tokenCount(of: $0.input) }
        #expect(counts.contains { $0 < 30 } && counts.contains { $0 > 40 })
        for concurrency in [2, 8] {
            try await compare(owl, items, concurrency, alone(owl, items), "dynamic")
        }
    }

    @Test("The bundled model, with pictures and long prompts", arguments: [1, 3, 8])
    func bundled(concurrency: Int) async throws {
        let owl = try await TestModels.bundled.value
        let long = String(repeating: "What shape is red? ", count: 60)
        let inputs: [UserInput] = [
            UserInput(prompt: "Describe the image.", images: [TestModels.redCircle]),
            UserInput(prompt: "What shape is blue?", images: [TestModels.blueSquare, TestModels.redCircle]),
            UserInput(prompt: "What is two plus three?"),
            UserInput(prompt: long), UserInput(prompt: "What color is the circle?", images: [TestModels.redCircle]),
        ]
        #expect(try owl.tokenCount(of: inputs[3]) > 256)
        let items = (0..<20).map {
            BatchItem(inputs[$0 % inputs.count], parameters: Self.parameters[$0 % Self.parameters.count])
        }
        try await compare(owl, items, concurrency, alone(owl, items), "bundled")
    }
}

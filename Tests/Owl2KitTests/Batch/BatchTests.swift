import Foundation
import Testing

@testable import Owl2Kit

@Suite struct BatchTests {
    private func owl() async throws -> Owl2Pipeline { try await TestModels.bundled.value }

    private let endless = GenerateParameters(maxNewTokens: 400, minNewTokens: 400)

    @Test("Answers come in the order of the questions") func answers() async throws {
        let owl = try await owl()
        let seen = Collected<Double>()
        let results = try await owl.respond(
            to: [
                UserInput(prompt: "What color is the circle?", images: [TestModels.redCircle]),
                UserInput(prompt: "What is two plus three?"),
                UserInput(prompt: "What shape is blue?", images: [TestModels.blueSquare]),
            ], maximumConcurrency: 2
        ) { progress in
            #expect(progress.stage == .answering)
            seen.append(progress.fractionCompleted)
        }
        let texts = try results.map { try $0.get().text }
        #expect(texts == ["Red", "Five", "Square"])
        #expect(seen.values == [0, 1.0 / 3, 2.0 / 3, 1])
        #expect(try results.allSatisfy { try $0.get().info.stopReason == .end })
        #expect(try results[2].get().info.timings.image > 0 && results[2].get().info.timings.decode > 0)
        #expect(try await owl.respond(to: [UserInput]()).isEmpty)
    }

    @Test("A question that fails has its own error, and the others go on") func failures() async throws {
        let owl = try await owl()
        let good = UserInput(prompt: "What color is the circle?", images: [TestModels.redCircle])
        let items: [BatchItem] = [
            BatchItem(good), BatchItem(UserInput(prompt: "", images: [.file(URL(fileURLWithPath: "absent.png"))])),
            BatchItem(good), BatchItem(UserInput(prompt: String(repeating: "star ", count: 600))),
            BatchItem(UserInput(prompt: "x", images: [TestModels.blueSquare, .encoded(Data("no picture".utf8))])),
            BatchItem(.raw("<|image|>")), BatchItem(good, parameters: GenerateParameters(maxNewTokens: 0)),
            BatchItem(good),
        ]
        let codes: [Int: (Owl2Error.Code, String)] = [
            1: (.unreadableFile, "absent.png"), 3: (.contextExceeded, "512"), 4: (.unsupportedFormat, "encoded image"),
            5: (.imageCountMismatch, "1 image markers"), 6: (.invalidInput, "maximum of new tokens"),
        ]
        for concurrency in [1, 3, 8] {
            let results = try await owl.respond(to: items, maximumConcurrency: concurrency)
            for (index, result) in results.enumerated() {
                switch (result, codes[index]) {
                case (.success(let answer), nil): #expect(answer.text == "Red")
                case (.failure(let error as Owl2Error), (let code, let piece)?):
                    #expect(error.code == code && error.message.contains(piece), "\(index): \(error.message)")
                default: Issue.record("question \(index): \(result)")
                }
            }
        }
    }

    @Test("Logits that are not finite end each question with an error") func nonFinite() async throws {
        let files = try TestModels.weights(replacing: "model.norm.weight", element: 3, withHalf: 0x7e00)
        let sick = try await Owl2Pipeline.load(from: files, options: LoadOptions(threadCount: 1))
        for result in try await sick.respond(to: [UserInput(prompt: "Hi"), UserInput(prompt: "Ho")]) {
            await expectError(.nonFiniteValue, mentioning: "768") { try result.get() }
        }
    }

    @Test("A concurrency that makes no sense", arguments: [0, -1, 100_000])
    func concurrency(count: Int) async throws {
        let owl = try await owl()
        await expectError(.invalidInput, mentioning: "sequences at once", "\(count)") {
            try await owl.respond(to: [UserInput(prompt: "Hi")], maximumConcurrency: count)
        }
    }

    @Test("No more sequences at once than asked for, and a free place is taken") func slots() async throws {
        let owl = try await owl()
        let items = (0..<9).map {
            BatchItem(
                UserInput(prompt: "What is the background color?", images: [TestModels.redCircle]),
                parameters: GenerateParameters(maxNewTokens: 3 + 5 * ($0 % 3), minNewTokens: 3 + 5 * ($0 % 3)))
        }
        var begun: Set<Int> = [], ended: Set<Int> = [], most = 0
        for try await event in owl.generate(batch: items, maximumConcurrency: 3) {
            switch event.content {
            case .text: begun.insert(event.index)
            case .info: ended.insert(event.index)
            case .failure(let error): Issue.record(error)
            }
            most = max(most, begun.subtracting(ended).count)
        }
        #expect(ended.count == 9 && most <= 3 && most >= 2)
    }

    @Test("Dropping the stream, or cancelling its reader, stops the work", .timeLimit(.minutes(1)))
    func cancellation() async throws {
        let owl = try await owl()
        let items = (0..<12).map { _ in
            BatchItem(UserInput(prompt: "Describe the image.", images: [TestModels.redCircle]), parameters: endless)
        }
        let fractions = Collected<Double>()
        let reader = Task {
            var count = 0
            for try await event in owl.generate(
                batch: items, maximumConcurrency: 4, progressHandler: { fractions.append($0.fractionCompleted) })
            {
                if case .text = event.content { count += 1 }
                if count == 10 { withUnsafeCurrentTask { $0?.cancel() } }
            }
        }
        await #expect(throws: CancellationError.self) { try await reader.value }
        // all twelve end at once, with an error: the last fraction is reached though none was answered
        while fractions.values.last != 1 { try await Task.sleep(for: .milliseconds(1)) }
        let answer = try await owl.respond(to: "What color is the circle?", images: [TestModels.redCircle])
        #expect(answer == "Red")
    }

    @Test("Cancelling inside the encoder and the prefill", .timeLimit(.minutes(1)))
    func cancelledEarly() async throws {
        let owl = try await Owl2Pipeline.bundled(options: LoadOptions(threadCount: 1, imageCacheByteCount: 0))
        let images = Array(repeating: TestModels.redCircle, count: 20)
        let reader = Task {
            try await owl.respond(to: (0..<8).map { _ in UserInput(prompt: "What?", images: images) })
        }
        try await Task.sleep(for: .milliseconds(5))
        reader.cancel()
        await #expect(throws: CancellationError.self) { try await reader.value }
    }
}

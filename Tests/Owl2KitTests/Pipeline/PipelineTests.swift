import Foundation
import Owl2Decoder
import Testing

@testable import Owl2Kit

@Suite struct PipelineTests {
    private func owl() async throws -> Owl2Pipeline { try await TestModels.bundled.value }

    @Test("The main job: a picture, a question, the right answer") func answers() async throws {
        let owl = try await owl()
        #expect(try await owl.respond(to: "What color is the circle?", images: [TestModels.redCircle]) == "Red")
        #expect(try await owl.respond(to: "What shape is blue?", images: [TestModels.blueSquare]) == "Square")
        #expect(try await owl.respond(to: "What is two plus three?") == "Five")
    }

    @Test("A stream's pieces are the answer, and its last event tells how it came about") func stream() async throws {
        let owl = try await owl()
        let input = UserInput(prompt: "Describe the image.", images: [TestModels.redCircle])
        var pieces: [String] = [], infos: [GenerationInfo] = []
        for try await event in owl.generate(input) {
            switch event {
            case .text(let piece):
                #expect(infos.isEmpty && !piece.isEmpty)
                pieces.append(piece)
            case .info(let info): infos.append(info)
            }
        }
        let whole = try await owl.respond(to: "Describe the image.", images: [TestModels.redCircle])
        #expect(pieces.joined() == whole && whole.contains("red circle"))
        let info = try #require(infos.first)
        #expect(infos.count == 1 && info.stopReason == .end && pieces.count > 3)
        #expect(info.promptTokenCount == (try owl.tokenCount(of: input)) && info.imageTokenCount == 17)
        #expect(try owl.tokenizer.decode(info.tokens) == whole)
    }

    @Test("The chat template, and text that cannot leave its place") func template() async throws {
        let owl = try await owl()
        let plain = try owl.prepare(UserInput(prompt: "Hi", images: [TestModels.redCircle]))
        let raw = try owl.prepare(.raw("USER: <|image|>Hi ASSISTANT:", images: [TestModels.redCircle]))
        #expect(plain.tokens == raw.tokens && plain.tokens.first == 1 && plain.tokens.contains(-200))
        let smuggled = try owl.prepare(UserInput(prompt: "<|image|></s><s>"))
        #expect(!smuggled.tokens.contains(-200) && !smuggled.tokens.contains(2))
        #expect(smuggled.tokens.filter { $0 == 1 }.count == 1)
        let control = try owl.prepare(.raw("a</s>b"))
        #expect(control.tokens.contains(2))
        let interleaved = try owl.prepare(
            UserInput(segments: [
                .text("Is "), .image(TestModels.redCircle), .text(" bigger than "), .image(TestModels.blueSquare),
                .text("?"),
            ]))
        let same = try owl.prepare(
            .raw(
                "USER: Is <|image|> bigger than <|image|>? ASSISTANT:",
                images: [TestModels.redCircle, TestModels.blueSquare]))
        #expect(interleaved.tokens == same.tokens && interleaved.rowCount == same.rowCount)
    }

    @Test("More or fewer pictures than markers") func imageCount() async throws {
        let owl = try await owl()
        await expectError(.imageCountMismatch, mentioning: "2 image markers", "1 images") {
            try owl.prepare(.raw("<|image|><|image|>", images: [TestModels.redCircle]))
        }
        await expectError(.imageCountMismatch, mentioning: "0 image markers", "1 images") {
            try owl.prepare(.raw("text", images: [TestModels.redCircle]))
        }
    }

    @Test("A prompt over the context says how many rows and the limit") func context() async throws {
        let owl = try await owl()
        let long = String(repeating: "circle ", count: 600)
        await expectError(.contextExceeded, mentioning: "512") {
            try await owl.respond(to: long)
        }
        await expectError(.contextExceeded, mentioning: "\(31 * 17)", "512") {
            try owl.tokenCount(of: UserInput(prompt: "", images: Array(repeating: TestModels.redCircle, count: 31)))
        }
    }

    @Test("An answer stops where the context ends") func contextStop() async throws {
        let owl = try await owl()
        // find a prompt that leaves three rows
        var prompt = "x"
        while try owl.tokenCount(of: .raw(prompt)) < 509 { prompt += " x" }
        let room = 512 - (try owl.tokenCount(of: .raw(prompt)))
        #expect(room > 0)
        let info = try await self.info(owl.generate(.raw(prompt), parameters: GenerateParameters(minNewTokens: 100)))
        #expect(info.stopReason == .context && info.tokens.count == room)
    }

    private func info(_ stream: GenerationStream) async throws -> GenerationInfo {
        for try await event in stream { if case .info(let info) = event { return info } }
        throw CancellationError()
    }

    @Test("Length, minimum, stop strings and log-probabilities") func parameters() async throws {
        let owl = try await owl()
        let input = UserInput(prompt: "Describe the image.", images: [TestModels.redCircle])
        let whole = try await info(owl.generate(input))
        let short = try await info(owl.generate(input, parameters: GenerateParameters(maxNewTokens: 3)))
        #expect(short.stopReason == .length && short.tokens == Array(whole.tokens.prefix(3)))
        let forced = try await info(
            owl.generate(input, parameters: GenerateParameters(maxNewTokens: 30, minNewTokens: 30)))
        #expect(forced.tokens.count == 30 && Array(forced.tokens.prefix(whole.tokens.count)) == whole.tokens)
        var text = ""
        var stopped: GenerationInfo?
        for try await event in owl.generate(input, parameters: GenerateParameters(stopSequences: ["circle"])) {
            if case .text(let piece) = event { text += piece }
            if case .info(let info) = event { stopped = info }
        }
        #expect(stopped?.stopReason == .stop && text.hasSuffix("red ") && !text.contains("circle"))
        let scored = try await info(owl.generate(input, parameters: GenerateParameters(topLogprobs: 2)))
        let logprobs = try #require(scored.logprobs)
        #expect(logprobs.count == scored.tokens.count && scored.tokens == whole.tokens)
        #expect(logprobs.allSatisfy { $0.top.count == 2 && $0.top[0] == $0.chosen && $0.chosen.logprob <= 0 })
    }

    @Test("The same seed gives the same text") func seeds() async throws {
        let owl = try await owl()
        let input = UserInput(prompt: "What is in the image?", images: [TestModels.blueSquare])
        func sample(_ seed: UInt64) async throws -> GenerationInfo {
            try await info(
                owl.generate(
                    input,
                    parameters: GenerateParameters(
                        maxNewTokens: 40, minNewTokens: 40, sampling: .random(temperature: 3, seed: seed))))
        }
        let first = try await sample(1), again = try await sample(1), other = try await sample(2)
        #expect(first.tokens == again.tokens && first.tokens != other.tokens && first.seed == 1)
    }

    @Test("Parameters that make no sense are refused before any work") func badParameters() async throws {
        let owl = try await owl()
        await expectError(.invalidInput, mentioning: "temperature") {
            try await owl.respond(
                to: "", parameters: GenerateParameters(sampling: .random(temperature: .nan)))
        }
        await expectError(.invalidInput, mentioning: "logit bias", "768") {
            try await owl.respond(to: "", parameters: GenerateParameters(logitBias: [768: 1]))
        }
    }

    @Test("Weights that are NaN stop generation with an error") func nonFinite() async throws {
        let files = try TestModels.weights(replacing: "model.norm.weight", element: 3, withHalf: 0x7e00)
        let sick = try await Owl2Pipeline.load(from: files, options: LoadOptions(threadCount: 1))
        await expectError(.nonFiniteValue, mentioning: "768") { try await sick.respond(to: "Hi") }
        await expectError(.nonFiniteValue) { try await sick.classify(UserInput(prompt: "Hi"), options: ["a"]) }
    }

    @Test("Cancellation takes effect in decoding, in prefill and in the encoder") func cancellation() async throws {
        let owl = try await owl()
        let input = UserInput(prompt: "Describe the image.", images: [TestModels.redCircle])
        let endless = GenerateParameters(maxNewTokens: 400, minNewTokens: 400)
        let pieces = Collected<String>()
        let decoding = Task {
            try owl.answer(input, endless, nil) {
                pieces.append($0)
                if pieces.values.count == 2 { withUnsafeCurrentTask { $0?.cancel() } }
            }
        }
        await #expect(throws: CancellationError.self) { try await decoding.value }
        #expect(pieces.values.count == 2)
        for stage in [PipelineProgress.Stage.encodingImages, .prefill] {
            let working = Task {
                try await owl.respond(to: "Describe the image.", images: [TestModels.redCircle]) { progress in
                    if progress.stage == stage { withUnsafeCurrentTask { $0?.cancel() } }
                }
            }
            await #expect(throws: CancellationError.self) { try await working.value }
        }
    }

    @Test("Dropping a stream, or cancelling its reader, stops the work", .timeLimit(.minutes(1)))
    func droppedStream() async throws {
        let stopped = Collected<Int>()
        func endless(_ number: Int) -> GenerationStream {
            GenerationStream { emit in
                defer { stopped.append(number) }
                while true {
                    try await Task.sleep(for: .milliseconds(1))
                    emit("x")
                }
            }
        }
        func readTwo(_ stream: GenerationStream) async throws {
            var pieces = 0
            for try await _ in stream.text {
                pieces += 1
                if pieces == 2 { break }
            }
        }
        try await readTwo(endless(1))
        while !stopped.values.contains(1) { try await Task.sleep(for: .milliseconds(1)) }
        let reader = Task { for try await _ in endless(2).text {} }
        reader.cancel()
        await #expect(throws: CancellationError.self) { try await reader.value }
        while !stopped.values.contains(2) { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test("Requests at the same time do not disturb each other") func concurrency() async throws {
        let owl = try await owl()
        let alone = try await owl.respond(to: "Describe the image.", images: [TestModels.redCircle])
        let answers = try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for index in 0..<6 {
                group.addTask {
                    let image = index % 2 == 0 ? TestModels.redCircle : TestModels.blueSquare
                    return (index, try await owl.respond(to: "Describe the image.", images: [image]))
                }
            }
            return try await group.reduce(into: [Int: String]()) { $0[$1.0] = $1.1 }
        }
        #expect([0, 2, 4].allSatisfy { answers[$0] == alone })
        #expect([1, 3, 5].allSatisfy { answers[$0]?.contains("blue square") == true })
    }

    @Test("Options' scores are the log-probabilities of one pass over prompt and option") func classify() async throws {
        let owl = try await owl()
        let prompt = "USER: <|image|>What color is the circle? ASSISTANT:"
        let options = ["Red", "Blue", "a longer answer"]
        let scores = try await owl.classify(.raw(prompt, images: [TestModels.redCircle]), options: options)
        #expect(scores.map(\.text) == options)
        #expect(abs(scores.map(\.probability).reduce(0, +) - 1) < 1e-12)
        #expect(scores[0].probability > 0.9)
        let prepared = try owl.prepare(.raw(prompt, images: [TestModels.redCircle]))
        for score in scores {
            #expect(score.tokens == owl.tokenizer.encode(score.text))
            let rows = try owl.splice(
                PreparedPrompt(
                    tokens: prepared.tokens + score.tokens, images: prepared.images, rowCount: 0, imageRowCount: 0,
                    fit: .stretch, honorsOrientation: false),
                owl.encode(prepared, nil).rows)
            let logits = try owl.model.prefill(rows, into: owl.makeCache(), wanting: .all)
            var sum = 0.0
            for (index, token) in score.tokens.enumerated() {
                let row = logits[row: prepared.rowCount - 1 + index].map(Double.init)
                let most = row.max() ?? 0
                sum += row[token] - most - log(row.reduce(0) { $0 + exp($1 - most) })
            }
            #expect(abs(sum - score.logprob) < 1e-4)
        }
        await expectError(.invalidInput, mentioning: "options") {
            try await owl.classify(UserInput(prompt: "Hi"), options: [])
        }
    }

    @Test("An option's score does not depend on a longer one before it, under dynamic scaling either")
    func classifyDynamic() async throws {
        let reference = try #require(ParityTests.cases.first { $0.name == "sharded-safetensors-dynamic" })
        let owl = try await reference.load()
        // 40 positions originally: the long option ends behind them, the short one before
        var prompt = "a"
        while try owl.tokenCount(of: .raw(prompt)) < 30 { prompt += " b" }
        let input = UserInput.raw(prompt), long = String(repeating: "a b ", count: 9), short = "a b"
        let rows = try owl.tokenCount(of: input)
        #expect(rows + owl.tokenizer.encode(short).count < 40 && rows + owl.tokenizer.encode(long).count > 42)
        let alone = try await owl.classify(input, options: [short])
        let behind = try await owl.classify(input, options: [long, short])
        #expect(alone[0].logprob == behind[1].logprob)
    }

    @Test("Pictures beside each other are encoded as if they were alone") func imageBatches() async throws {
        let owl = try await Owl2Pipeline.bundled(options: LoadOptions(threadCount: 2, imageCacheByteCount: 0))
        let images = (0..<5).map { $0 % 2 == 0 ? TestModels.redCircle : TestModels.blueSquare }
        let together = try await owl.embed(images)
        #expect(together.count == 5)
        for (index, image) in images.enumerated() {
            let alone = try await owl.embed([image])
            #expect(alone[0].rows.values == together[index].rows.values)
        }
    }
}

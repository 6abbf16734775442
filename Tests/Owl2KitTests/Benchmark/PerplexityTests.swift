import Foundation
import Owl2Bundled
import Testing

@testable import Owl2Kit

@Suite("Perplexity") struct PerplexityTests {
    static let sentence: String = "The circle is red. There are two squares and a blue star above the triangle."

    /// The bundled model with weights of another type.
    static let quantized = Task {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("owl2-\(UUID().uuidString).gguf")
        defer { try? FileManager.default.removeItem(at: file) }
        try await ModelQuantizer(type: .q4_0, threadCount: 2).quantize(BundledModel.files, to: file)
        return try await Owl2Pipeline.load(from: file, options: LoadOptions(threadCount: 2))
    }

    @Test("A text's likelihood is that of its tokens, one by one")
    func text() async throws {
        let owl = try await TestModels.bundled.value
        let report = try await PerplexityMeter(owl).measure(text: Self.sentence)
        let tokens = owl.tokenizer.encode(Self.sentence)
        let logits = try await owl.logits(of: .raw(Self.sentence)), values = logits.values
        var sum = 0.0
        for (index, token) in tokens.enumerated() {
            let row = (0..<logits.columnCount).map { Double(values[index * logits.columnCount + $0]) }
            let largest = row.max() ?? 0
            sum += row[token] - largest - log(row.reduce(0) { $0 + exp($1 - largest) })
        }
        #expect(report.tokenCount == tokens.count)
        #expect(abs(report.likelihood.mean - sum / Double(tokens.count)) < 1e-5)
        #expect(abs(report.likelihood.perplexity - exp(-sum / Double(tokens.count))) < 1e-3)
        #expect(report.likelihood.standardError > 0)
        #expect(report.comparison == nil)
    }

    @Test("A window knows nothing of the one before it")
    func windows() async throws {
        let meter = try PerplexityMeter(await TestModels.bundled.value)
        let whole = try await meter.measure(text: Self.sentence),
            parts = try await meter.measure(text: Self.sentence, windowLength: 4)
        #expect(parts.tokenCount == whole.tokenCount)
        #expect(parts.likelihood.mean < whole.likelihood.mean)
    }

    @Test("A model does not differ from itself, but from its quantised twin")
    func comparison() async throws {
        let owl = try await TestModels.bundled.value, twin = try await Self.quantized.value
        let same = try #require(try await PerplexityMeter(owl, reference: owl).measure(text: Self.sentence).comparison)
        #expect(same.meanDivergence == 0 && same.maximumDivergence == 0 && same.topAgreement == 1)
        let report = try await PerplexityMeter(twin, reference: owl).measure(text: Self.sentence)
        let other = try #require(report.comparison)
        #expect(other.reference == same.reference)
        #expect(other.meanDivergence > 0 && other.meanDivergence <= other.maximumDivergence)
        #expect((0...1).contains(other.topAgreement))
        #expect(report.likelihood != other.reference)
    }

    @Test("The right answer about a picture is likelier than a wrong one")
    func pairs() async throws {
        let meter = try PerplexityMeter(await TestModels.bundled.value)
        func mean(_ answer: String) async throws -> Double {
            let question = AnsweredQuestion(
                place: "here", images: [TestModels.redCircle], prompt: "What color is the circle?", answer: answer)
            return try await meter.measure([question]).likelihood.mean
        }
        #expect(try await mean("red") > mean("blue"))
    }

    @Test("What cannot be measured")
    func errors() async throws {
        let meter = try PerplexityMeter(await TestModels.bundled.value)
        await expectError(.invalidInput, mentioning: "text", "none") { try await meter.measure(text: "") }
        await expectError(.invalidInput, mentioning: "window", "512", "513") {
            try await meter.measure(text: Self.sentence, windowLength: 513)
        }
        await expectError(.invalidInput, mentioning: "pairs", "none") { try await meter.measure([]) }
        let long = AnsweredQuestion(
            place: "line 7", images: [], prompt: "What?", answer: String(repeating: "word ", count: 600))
        await expectError(.contextExceeded, mentioning: "line 7", "512") { try await meter.measure([long]) }
        let other = try Owl2Pipeline(SyntheticDescription(shape: .small), LoadOptions(threadCount: 1)) {
            try SyntheticWeights.checkpoint(.small, type: .q8_0, compute: Compute(threadCount: 1))
        }
        let mixed = try PerplexityMeter(await TestModels.bundled.value, reference: other)
        await expectError(.invalidInput, mentioning: "reference", "tokens") {
            try await mixed.measure(text: Self.sentence)
        }
    }

    struct BadLines: CustomTestStringConvertible {
        let testDescription: String
        let lines: String
        let pieces: [String]
    }

    static let badLines = [
        BadLines(testDescription: "nothing", lines: "\n \n", pieces: ["found none"]),
        BadLines(
            testDescription: "no answer", lines: "\n{\"prompt\": \"a\"}", pieces: ["line 2", "answer", "missing"]),
        BadLines(
            testDescription: "an empty answer", lines: "{\"prompt\": \"a\", \"answer\": \"\"}",
            pieces: ["line 1", "answer", "expected text"]),
        BadLines(
            testDescription: "another type", lines: "{\"prompt\": \"a\", \"answer\": 3}", pieces: ["line 1", "answer"]),
        BadLines(testDescription: "no JSON", lines: "{\"prompt\"", pieces: ["line 1", "JSON"]),
        BadLines(
            testDescription: "one picture", lines: "{\"images\": \"a.png\", \"prompt\": \"a\", \"answer\": \"b\"}",
            pieces: ["line 1", "images"]),
    ]

    @Test("Lines that are no questions", arguments: badLines)
    func unreadableLines(_ example: BadLines) async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("owl2-\(UUID().uuidString).jsonl")
        try Data(example.lines.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        do {
            _ = try AnsweredQuestion.questions(from: file)
            Issue.record("nothing was thrown")
        } catch let error as Owl2Error {
            for piece in [file.path] + example.pieces where piece != "found none" || error.message.contains(file.path) {
                #expect(error.message.contains(piece), "\(error.message)")
            }
        }
    }
}

import Foundation
import Testing

@testable import Owl2Kit

/// One row of logits and what Hugging Face's logits processors make of it (`make_sampling_goldens.py`).
private struct GoldenCase: Decodable {
    let logits: [Float]
    let prompt: [Int]
    let output: [Int]
    let repetitionPenalty: Float
    let bias: [[Float]]
    let minNewTokens: Int
    let temperature: Float
    let topK: Int
    let topP: Float
    let minP: Float
    let probabilities: [Double]

    var hasTies: Bool { Set(logits).count < logits.count }

    static func all() throws -> [GoldenCase] {
        let url = try #require(
            Bundle.module.url(forResource: "sampling", withExtension: "json", subdirectory: "Fixtures/Generation"))
        return try JSONDecoder().decode([GoldenCase].self, from: Data(contentsOf: url))
    }

    func computed() -> [Double] {
        let parameters = GenerateParameters(
            minNewTokens: minNewTokens, repetitionPenalty: repetitionPenalty,
            logitBias: Dictionary(uniqueKeysWithValues: bias.map { (Int($0[0]), $0[1]) }))
        var processor = LogitsProcessor(
            parameters: parameters, promptTokens: prompt, endTokens: [2], vocabularySize: logits.count)
        output.forEach { processor.record($0) }
        var scores = logits
        scores.withUnsafeMutableBufferPointer { processor.process($0) }
        var choice = RandomChoice(
            temperature: temperature, topP: topP, topK: topK, minP: minP, seed: 0, vocabularySize: logits.count)
        return scores.withUnsafeBufferPointer { choice.probabilities(of: $0, largest: $0.max() ?? 0) }
    }
}

@Test func samplingAgreesWithHuggingFace() throws {
    let cases = try GoldenCase.all()
    #expect(cases.count == 240)
    for (index, golden) in cases.enumerated() {
        var computed = golden.computed()
        var reference = golden.probabilities
        #expect(computed.count == reference.count)
        if golden.hasTies {
            // Which of equal tokens top-p keeps depends on an unstable sort there; how many it keeps does not.
            computed.sort()
            reference.sort()
        }
        for (token, (found, expected)) in zip(computed, reference).enumerated() {
            // The same tokens are filtered out, and the others agree to the fixture's digits and Float32 rounding.
            #expect((found == 0) == (expected == 0) || max(found, expected) < 1e-30, "case \(index), token \(token)")
            #expect(abs(found - expected) <= 1e-7 + 1e-5 * expected, "case \(index), token \(token)")
        }
    }
}

import Foundation
import Owl2Core
import Testing

@testable import Owl2Kit

@Suite struct TokenSamplerTests {
    private func sampler(
        _ parameters: GenerateParameters = .init(), prompt: [Int] = [], end: Set<Int> = [], size: Int = 4
    ) throws -> TokenSampler {
        try TokenSampler(parameters: parameters, promptTokens: prompt, endTokens: end, vocabularySize: size)
    }

    private func next(_ sampler: inout TokenSampler, _ logits: [Float]) throws -> Int {
        try logits.withUnsafeBufferPointer { try sampler.next(logits: $0).id }
    }

    @Test(
        arguments: [([1, 3, 3, 2], 1), ([0, 0, 0, 0], 0), ([-5, -7, -2, -2], 2), ([-0.0, 0, -1, 0], 0)]
            as [([Float], Int)])
    func greedyTakesTheLowestOfTheHighest(_ logits: [Float], _ expected: Int) throws {
        var greedy = try sampler()
        #expect(greedy.seed == nil)
        #expect(try next(&greedy, logits) == expected)
        var cold = try sampler(GenerateParameters(sampling: .random(temperature: 0, seed: 7)))
        #expect(cold.seed == 7)
        #expect(try next(&cold, logits) == expected)
    }

    @Test func repetitionPenaltyCountsPromptAndOutputOnce() throws {
        // Token 0 is in the prompt twice: 6 / 2 = 3, not 1.5. Token 3 is negative: -1 * 2 = -2.
        var sampler = try sampler(GenerateParameters(repetitionPenalty: 2), prompt: [0, 0, 3, -200, 99])
        #expect(try next(&sampler, [6, 2.9, 0, 0]) == 0)
        #expect(try next(&sampler, [6, 3.1, 0, 0]) == 1)
        // Now token 1 is in the output.
        #expect(try next(&sampler, [6, 5.9, 3.1, 0]) == 2)
        #expect(try next(&sampler, [-3, -3, -3, -1]) == 3)
        #expect(try next(&sampler, [-1, -3, -3, -0.9]) == 3)
    }

    @Test func presencePenaltyCountsTheOutputOnce() throws {
        var sampler = try sampler(GenerateParameters(presencePenalty: 1), prompt: [0, 1, 2, 3])
        #expect(try next(&sampler, [5, 4.5, 0, 0]) == 0)
        #expect(try next(&sampler, [5, 4, 0, 0]) == 0)
        #expect(try next(&sampler, [5, 3.9, 0, 0]) == 0)
        #expect(try next(&sampler, [5, 4.1, 0, 0]) == 1)
    }

    @Test func frequencyPenaltyCountsEachTime() throws {
        var sampler = try sampler(GenerateParameters(presencePenalty: 0.25, frequencyPenalty: 1))
        #expect(try next(&sampler, [5, 4.5, 0, 0]) == 0)
        #expect(try next(&sampler, [5, 3.7, 0, 0]) == 0)
        // 5 - 0.25 - 2 * 1 = 2.75
        #expect(try next(&sampler, [5, 2.8, 0, 0]) == 1)
        #expect(try next(&sampler, [5, 2.7, 0, 0]) == 0)
        #expect(try next(&sampler, [5, 0, 1.7, 0]) == 0)
        #expect(try next(&sampler, [5, 0, 1.7, 0]) == 2)
    }

    @Test func penaltiesComeBeforeBias() throws {
        // 4 / 2 + 3 = 5; the other order would give (4 + 3) / 2 = 3.5.
        var sampler = try sampler(GenerateParameters(repetitionPenalty: 2, logitBias: [0: 3]), prompt: [0])
        #expect(try next(&sampler, [4, 4.9, 0, 0]) == 0)
        #expect(try next(&sampler, [4, 5.1, 0, 0]) == 1)
    }

    @Test func endTokensWaitForTheMinimum() throws {
        var sampler = try sampler(GenerateParameters(minNewTokens: 2, logitBias: [2: 100]), end: [2, 900], size: 4)
        #expect(try next(&sampler, [0, 1, 9, 0]) == 1)
        #expect(try next(&sampler, [0, 1, 9, 0]) == 1)
        #expect(try next(&sampler, [0, 1, 9, 0]) == 2)
    }

    @Test func onlyEndTokensIsAnError() throws {
        var sampler = try sampler(GenerateParameters(minNewTokens: 1), end: [0, 1], size: 2)
        let error = #expect(throws: Owl2Error.self) { try next(&sampler, [0, 1]) }
        #expect(error?.code == .invalidInput)
        #expect(error?.subject == "minNewTokens")
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity, -.nan]) func nonFiniteLogitsAreAnError(_ value: Float) throws {
        for sampling in [GenerateParameters.Sampling.greedy, .random()] {
            var sampler = try sampler(GenerateParameters(sampling: sampling))
            _ = try next(&sampler, [0, 1, 2, 3])
            let error = #expect(throws: Owl2Error.self) { try next(&sampler, [value, 1, value, 3]) }
            #expect(error?.code == .nonFiniteValue)
            #expect(error?.message == "2 of 4 logits are NaN or infinite at generated token 2")
        }
    }

    @Test func hugeValuesNeitherTrapNorBecomeNaN() throws {
        let huge = Float.greatestFiniteMagnitude
        let parameters = GenerateParameters(
            sampling: .random(temperature: .leastNonzeroMagnitude, topP: 0.5, topK: 3, minP: 0.5, seed: 1),
            repetitionPenalty: .leastNonzeroMagnitude, presencePenalty: huge, frequencyPenalty: -huge,
            logitBias: [0: huge, 1: -huge], topLogprobs: 4)
        var sampler = try sampler(parameters, prompt: [0, 1, 2, 3])
        for _ in 0..<4 {
            let logits = [huge, -huge, huge, .leastNonzeroMagnitude]
            let sampled = try logits.withUnsafeBufferPointer { try sampler.next(logits: $0) }
            #expect((0..<4).contains(sampled.id))
            #expect(sampled.logprobs?.top.allSatisfy { $0.logprob <= 0 } == true)
        }
    }

    @Test func logprobsAreThoseOfTheRawLogits() throws {
        // Probabilities 1/8, 4/8, 1/8, 2/8; the bias changes the choice, not the log-probabilities.
        let logits: [Float] = [0, Float(log(4.0)), 0, Float(log(2.0))]
        var sampler = try sampler(
            GenerateParameters(repetitionPenalty: 3, logitBias: [2: 50], topLogprobs: 3), prompt: [1])
        let sampled = try logits.withUnsafeBufferPointer { try sampler.next(logits: $0) }
        #expect(sampled.id == 2)
        let logprobs = try #require(sampled.logprobs)
        #expect(logprobs.chosen.token == 2)
        #expect(abs(logprobs.chosen.logprob - log(1.0 / 8)) < 1e-7)
        #expect(logprobs.top.map(\.token) == [1, 3, 0])
        for (found, expected) in zip(logprobs.top, [4.0 / 8, 2.0 / 8, 1.0 / 8]) {
            #expect(abs(found.logprob - log(expected)) < 1e-7)
        }
    }

    @Test func logprobsOnlyWhereAskedFor() throws {
        for (count, expected) in [(nil, nil), (0, 0), (4, 4)] as [(Int?, Int?)] {
            var sampler = try sampler(GenerateParameters(topLogprobs: count))
            let sampled = try [1, 2, 3, 4].withUnsafeBufferPointer { try sampler.next(logits: $0) }
            #expect(sampled.logprobs?.top.count == expected)
            #expect(sampled.logprobs.map(\.chosen.token) == expected.map { _ in 3 })
        }
    }

    @Test func theSameSeedDrawsTheSameTokens() throws {
        let logits = (0..<50).map { Float(($0 * 7) % 11) * 0.3 }
        func draw(_ seed: UInt64?) throws -> (tokens: [Int], seed: UInt64?) {
            var sampler = try sampler(GenerateParameters(sampling: .random(seed: seed)), size: 50)
            return (try (0..<40).map { _ in try next(&sampler, logits) }, sampler.seed)
        }
        #expect(try draw(3).tokens == draw(3).tokens)
        #expect(try draw(3).tokens != draw(4).tokens)
        let drawn = try draw(nil)
        let seed = try #require(drawn.seed)
        #expect(seed < 1 << 53)
        #expect(try draw(seed).tokens == drawn.tokens)
        #expect(try draw(nil).seed != seed)
    }

    @Test func drawsFollowTheProbabilities() throws {
        // Probabilities 0.1, 0.2, 0.3, 0.4.
        let logits = [1.0, 2, 3, 4].map { Float(log($0)) }
        var sampler = try sampler(GenerateParameters(sampling: .random(seed: 11)))
        var counts = [0, 0, 0, 0]
        for _ in 0..<20_000 {
            counts[try next(&sampler, logits)] += 1
        }
        for (count, expected) in zip(counts, [2000, 4000, 6000, 8000]) {
            #expect(abs(count - expected) < 300)
        }
    }

    @Test func rejectsInvalidParameters() {
        #expect(throws: Owl2Error.self) { try sampler(GenerateParameters(sampling: .random(temperature: .nan))) }
        #expect(throws: Owl2Error.self) { try sampler(GenerateParameters(logitBias: [4: 1])) }
    }
}

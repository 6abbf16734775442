import Foundation
import Testing

@testable import Owl2Kit

@Suite struct RandomChoiceTests {
    /// Probabilities after the filters, of tokens whose probabilities before them are in proportion to `weights`.
    private func probabilities(
        _ weights: [Double], temperature: Float = 1, topP: Float = 1, topK: Int = 0, minP: Float = 0
    ) -> [Double] {
        var choice = RandomChoice(
            temperature: temperature, topP: topP, topK: topK, minP: minP, seed: 0, vocabularySize: weights.count)
        let scores = weights.map { Float(log($0)) }
        return scores.withUnsafeBufferPointer { choice.probabilities(of: $0, largest: $0.max() ?? 0) }
    }

    private func expect(_ found: [Double], _ expected: [Double], location: SourceLocation = #_sourceLocation) {
        #expect(found.count == expected.count, sourceLocation: location)
        for (found, expected) in zip(found, expected) {
            #expect(abs(found - expected) < 1e-6, "\(found), \(expected)", sourceLocation: location)
        }
    }

    @Test func temperatureDividesTheScores() {
        expect(probabilities([1, 2, 1]), [0.25, 0.5, 0.25])
        expect(probabilities([1, 2, 1], temperature: 0.5), [1.0 / 6, 4.0 / 6, 1.0 / 6])
        expect(probabilities([1, 16, 1], temperature: 4), [0.25, 0.5, 0.25])
    }

    @Test func topKKeepsTies() {
        expect(probabilities([1, 4, 2, 3], topK: 2), [0, 4.0 / 7, 0, 3.0 / 7])
        expect(probabilities([1, 4, 2, 2], topK: 2), [0, 0.5, 0.25, 0.25])
        expect(probabilities([1, 4, 2, 1], topK: 1), [0, 1, 0, 0])
        expect(probabilities([1, 1, 2], topK: 3), [0.25, 0.25, 0.5])
        expect(probabilities([1, 1, 2], topK: 1000), [0.25, 0.25, 0.5])
    }

    @Test func topPKeepsTheSmallestSufficientSet() {
        let weights: [Double] = [1, 5, 2, 8]  // of 16
        expect(probabilities(weights, topP: 0.01), [0, 0, 0, 1])
        expect(probabilities(weights, topP: 0.49), [0, 0, 0, 1])
        expect(probabilities(weights, topP: 0.51), [0, 5.0 / 13, 0, 8.0 / 13])
        expect(probabilities(weights, topP: 0.82), [0, 5.0 / 15, 2.0 / 15, 8.0 / 15])
        expect(probabilities(weights, topP: 0.95), [1.0 / 16, 5.0 / 16, 2.0 / 16, 8.0 / 16])
        expect(probabilities(weights, topP: 1), [1.0 / 16, 5.0 / 16, 2.0 / 16, 8.0 / 16])
    }

    @Test func topPKeepsAsManyTiesAsItNeeds() {
        expect(probabilities([1, 1, 1, 1], topP: 0.5), [0.5, 0.5, 0, 0])
        expect(probabilities([1, 1, 1, 1], topP: 0.51), [1.0 / 3, 1.0 / 3, 1.0 / 3, 0])
        expect(probabilities([1, 1, 2], topP: 0.7), [1.0 / 3, 0, 2.0 / 3])
    }

    @Test func minPIsRelativeToTheLikeliest() {
        expect(probabilities([1, 5, 2, 8], minP: 0.2), [0, 5.0 / 15, 2.0 / 15, 8.0 / 15])
        expect(probabilities([1, 5, 2, 8], minP: 0.26), [0, 5.0 / 13, 0, 8.0 / 13])
        expect(probabilities([1, 5, 2, 8], minP: 1), [0, 0, 0, 1])
        expect(probabilities([1, 8, 2, 8], minP: 1), [0, 0.5, 0, 0.5])
    }

    @Test func topPSeesWhatTopKLeft() {
        // Of [_, 5, _, 8] the likeliest has 8/13 = 0.615; without top-k it would have 0.5.
        expect(probabilities([1, 5, 2, 8], topP: 0.6, topK: 2), [0, 0, 0, 1])
    }

    /// The definition of the nucleus with a sort, for random rows.
    @Test func topPAgreesWithASort() {
        var generator = SplitMix64(seed: 5)
        for round in 0..<300 {
            let count = Int.random(in: 1...200, using: &generator)
            let scores = (0..<count).map { _ in Float.random(in: -4...4, using: &generator) }
            let topP = Float.random(in: 0.01...0.999, using: &generator)
            let total = scores.reduce(0.0) { $0 + exp(Double($1)) }
            var reached = 0.0
            var expected: Set<Int> = []
            for token in scores.indices.sorted(by: { scores[$0] > scores[$1] }) {
                guard reached < Double(topP) else { break }
                expected.insert(token)
                reached += exp(Double(scores[token])) / total
            }
            let found = probabilities(scores.map { exp(Double($0)) }, topP: topP)
            #expect(Set(found.indices.filter { found[$0] > 0 }) == expected, "round \(round)")
        }
    }

    @Test func rankThresholdIsTheKthLargest() {
        var generator = SplitMix64(seed: 9)
        let special: [Float] = [0, -0.0, .infinity, -.infinity, .leastNonzeroMagnitude, -.leastNonzeroMagnitude, 1, -1]
        for _ in 0..<200 {
            let values = (0..<Int.random(in: 1...60, using: &generator)).map { _ in
                Bool.random(using: &generator)
                    ? special[Int.random(in: 0..<special.count, using: &generator)]
                    : Float.random(in: -1e3...1e3, using: &generator)
            }
            let sorted = values.sorted(by: >)
            for k in 1...values.count {
                let threshold = values.withUnsafeBufferPointer { RankThreshold($0, target: Double(k)) { _ in 1 } }
                #expect(threshold.value == sorted[k - 1])
                #expect(Int(threshold.weightAbove) == sorted.count { $0 > sorted[k - 1] })
            }
        }
    }

    @Test func splitMix64IsTheReferenceSequence() {
        var generator = SplitMix64(seed: 1_234_567)
        let reference: [UInt64] = [
            6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
            4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
        ]
        for expected in reference {
            #expect(generator.next() == expected)
        }
        for _ in 0..<1000 {
            #expect((0..<1).contains(generator.nextUnit()))
        }
    }

    @Test func softmaxOfScores() throws {
        expect(try ContinuationScores.probabilities(of: [log(1), log(2), log(5)]), [0.125, 0.25, 0.625])
        expect(
            try ContinuationScores.probabilities(of: [-1e6, -1e6 - 1]), [1 / (1 + exp(-1)), exp(-1) / (1 + exp(-1))])
        expect(try ContinuationScores.probabilities(of: [-2000, 0]), [0, 1])
        expect(try ContinuationScores.probabilities(of: []), [])
        for value in [Double.nan, .infinity, -.infinity] {
            #expect(throws: (any Error).self) { try ContinuationScores.probabilities(of: [0, value]) }
        }
    }
}

import Foundation

/// How well a model foretells given tokens, and how close it stays to another one.
public struct PerplexityReport: Sendable {
    /// What one model said of the tokens.
    public struct Likelihood: Sendable, Equatable {
        /// The mean of the tokens' log-probabilities.
        public let mean: Double
        /// The standard error of the mean.
        public let standardError: Double
        /// `exp(-mean)`.
        public var perplexity: Double { exp(-mean) }
    }

    /// How another model's probabilities differ, over the same tokens.
    public struct Comparison: Sendable, Equatable {
        /// The other model's likelihood.
        public let reference: Likelihood
        /// The mean of the Kullback-Leibler divergence of the model from the reference, in nats.
        public let meanDivergence: Double
        /// The largest divergence at a token.
        public let maximumDivergence: Double
        /// The share of tokens for which both find the same one likeliest.
        public let topAgreement: Double
    }

    /// The number of tokens that were foretold.
    public let tokenCount: Int
    /// What the model said of them.
    public let likelihood: Likelihood
    /// How it compares with the reference, where there is one.
    public let comparison: Comparison?
}

/// Sums over tokens, from which a report is made.
struct LikelihoodSums {
    private struct Moments {
        var sum = 0.0
        var squares = 0.0

        mutating func add(_ value: Double) {
            sum += value
            squares += value * value
        }

        func likelihood(_ count: Int) -> PerplexityReport.Likelihood {
            let count = Double(count), mean = sum / count
            let variance = max(0, squares / count - mean * mean)
            return PerplexityReport.Likelihood(
                mean: mean, standardError: count > 1 ? (variance / (count - 1)).squareRoot() : 0)
        }
    }

    private(set) var tokenCount = 0
    private var model = Moments()
    private var reference = Moments()
    private var divergence = 0.0
    private var largestDivergence = 0.0
    private var agreements = 0
    private let hasReference: Bool

    init(hasReference: Bool) {
        self.hasReference = hasReference
    }

    /// Adds a token and the logits that foretell it.
    ///
    /// - Throws: `Owl2Error` (`nonFiniteValue`).
    mutating func add(
        _ token: Int, _ logits: UnsafeBufferPointer<Float>, reference others: UnsafeBufferPointer<Float>?
    ) throws {
        try requireFinite(logits, "at token \(tokenCount + 1)")
        let found = LogSoftmax(logits)
        model.add(found[token])
        tokenCount += 1
        guard let others else { return }
        try requireFinite(others, "of the reference at token \(tokenCount)")
        let expected = LogSoftmax(others)
        reference.add(expected[token])
        var sum = 0.0
        for index in others.indices { sum += exp(expected[index]) * (expected[index] - found[index]) }
        divergence += sum
        largestDivergence = max(largestDivergence, sum)
        agreements += logits.indexOfLargest == others.indexOfLargest ? 1 : 0
    }

    /// The means; there must be a token.
    var report: PerplexityReport {
        let count = Double(tokenCount)
        let comparison = PerplexityReport.Comparison(
            reference: reference.likelihood(tokenCount), meanDivergence: divergence / count,
            maximumDivergence: largestDivergence, topAgreement: Double(agreements) / count)
        return PerplexityReport(
            tokenCount: tokenCount, likelihood: model.likelihood(tokenCount),
            comparison: hasReference ? comparison : nil)
    }
}

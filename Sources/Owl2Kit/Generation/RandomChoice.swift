import Foundation

/// Draws tokens from the softmax of scores, filtered as Hugging Face does: temperature, top-k, top-p, min-p.
struct RandomChoice: Sendable {
    private let temperature: Float
    private let topP: Float
    private let topK: Int
    private let minP: Float
    private var generator: SplitMix64
    /// Scratch: the unnormalised probability of each token, 0 for what is filtered out.
    private var weights: [Float]

    /// - Parameters:
    ///   - temperature: Above 0.
    ///   - topP: In `(0, 1]`.
    ///   - topK: 0 for all.
    ///   - minP: In `0...1`.
    ///   - seed: The seed of the random numbers.
    ///   - vocabularySize: The number of scores.
    init(temperature: Float, topP: Float, topK: Int, minP: Float, seed: UInt64, vocabularySize: Int) {
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.minP = minP
        generator = SplitMix64(seed: seed)
        weights = [Float](repeating: 0, count: vocabularySize)
    }

    /// Draws a token.
    ///
    /// - Parameters:
    ///   - scores: One for each token of the vocabulary, none NaN or +inf.
    ///   - largest: The largest of them, finite.
    mutating func choose(from scores: UnsafeBufferPointer<Float>, largest: Float) -> Int {
        let total = fillWeights(from: scores, largest: largest)
        let place = generator.nextUnit() * total
        var reached = 0.0
        var chosen = 0
        for (token, weight) in weights.enumerated() where weight > 0 {
            chosen = token
            reached += Double(weight)
            if reached > place { break }
        }
        return chosen
    }

    /// The probability of each token after temperature and filters.
    mutating func probabilities(of scores: UnsafeBufferPointer<Float>, largest: Float) -> [Double] {
        let total = fillWeights(from: scores, largest: largest)
        return weights.map { Double($0) / total }
    }

    /// Computes `weights` from the scores and returns their sum.
    private mutating func fillWeights(from scores: UnsafeBufferPointer<Float>, largest: Float) -> Double {
        let (temperature, topP, topK, minP) = (temperature, topP, topK, minP)
        return weights.withUnsafeMutableBufferPointer { weights in
            let lowest = Self.lowestScore(topK: topK, in: scores)
            for token in 0..<scores.count {
                let score = scores[token]
                weights[token] = score < lowest ? 0 : exp((score - largest) / temperature)
            }
            if topP < 1 {
                Self.keepNucleus(topP, scores: scores, weights: weights)
            }
            return Self.keepLikely(minP, weights: weights)
        }
    }

    /// The `topK`-th highest score: all that tie with it are kept.
    private static func lowestScore(topK: Int, in scores: UnsafeBufferPointer<Float>) -> Float {
        guard topK > 0, topK < scores.count else { return -.infinity }
        return RankThreshold(scores, target: Double(topK)) { _ in 1 }.value
    }

    /// Keeps the fewest of the likeliest tokens whose probabilities sum to at least `topP`. Of the ones that tie at the
    /// edge it keeps as many as are needed, the lowest ids first (the reference leaves that to an unstable sort).
    private static func keepNucleus(
        _ topP: Float, scores: UnsafeBufferPointer<Float>, weights: UnsafeMutableBufferPointer<Float>
    ) {
        let total = weights.reduce(0.0) { $0 + Double($1) }
        let target = Double(topP) * total
        let edge = RankThreshold(scores, target: target) { Double(weights[$0]) }
        var reached = edge.weightAbove
        for token in 0..<scores.count where scores[token] <= edge.value {
            if scores[token] < edge.value || reached >= target {
                weights[token] = 0
            } else {
                reached += Double(weights[token])
            }
        }
    }

    /// Keeps the tokens at least `minP` times as likely as the likeliest, whose weight is 1, and returns the sum.
    private static func keepLikely(_ minP: Float, weights: UnsafeMutableBufferPointer<Float>) -> Double {
        var total = 0.0
        for token in 0..<weights.count {
            if weights[token] < minP {
                weights[token] = 0
            }
            total += Double(weights[token])
        }
        return total
    }
}

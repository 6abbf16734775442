import Foundation
import Owl2Core

/// Turns the scores of given continuations into probabilities.
enum ContinuationScores {
    /// The softmax of scores.
    ///
    /// - Parameter scores: The sum of the log-probabilities of each continuation's tokens.
    /// - Returns: As many probabilities, which sum to 1.
    /// - Throws: `Owl2Error` (`nonFiniteValue`) when a score is NaN or infinite.
    static func probabilities(of scores: [Double]) throws -> [Double] {
        for (index, score) in scores.enumerated() where !score.isFinite {
            throw Owl2Error(.nonFiniteValue, "the score of option \(index + 1) is \(score)", subject: "options")
        }
        guard let largest = scores.max() else { return [] }
        let weights = scores.map { exp($0 - largest) }
        let total = weights.reduce(0, +)
        return weights.map { $0 / total }
    }
}

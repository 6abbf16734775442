import Foundation
import Owl2Core

/// The log-probabilities of a row of logits: `logits[i] - log(sum(exp(logits)))`, summed in Double.
struct LogSoftmax {
    private let logits: UnsafeBufferPointer<Float>
    private let normalizer: Double

    /// Prepares the log-probabilities of `logits [vocabulary]`: at least one, all finite, in place for the life of this
    /// value.
    init(_ logits: UnsafeBufferPointer<Float>) {
        let largest = logits.max() ?? 0
        var sum = 0.0
        for logit in logits {
            sum += Double(exp(logit - largest))
        }
        self.logits = logits
        normalizer = Double(largest) + log(sum)
    }

    /// The log-probability of a token.
    subscript(token: Int) -> Double {
        Double(logits[token]) - normalizer
    }

    /// The `count` likeliest tokens, the likeliest first and of equal ones the lowest id first.
    func top(_ count: Int) -> [TokenLogprob] {
        guard count > 0 else { return [] }
        let threshold = RankThreshold(logits, target: Double(count)) { _ in 1 }
        return logits.indices.filter { logits[$0] >= threshold.value }
            .sorted { logits[$0] == logits[$1] ? $0 < $1 : logits[$0] > logits[$1] }
            .prefix(count)
            .map { TokenLogprob(token: $0, logprob: self[$0]) }
    }
}

extension UnsafeBufferPointer<Float> {
    /// The place of the largest element, the first of equal ones; nil if there is none.
    var indexOfLargest: Int? { indices.max { self[$0] < self[$1] } }
}

/// Refuses logits that are not all finite.
///
/// - Parameters:
///   - logits: The logits of one row.
///   - place: Where they were computed, as the end of the sentence "3 of 32000 logits are NaN or infinite …".
/// - Throws: `Owl2Error` (`nonFiniteValue`) with the number of NaN and infinities, negative ones included: a model whose
///   weights are sound computes none of them.
func requireFinite(_ logits: UnsafeBufferPointer<Float>, _ place: @autoclosure () -> String) throws {
    let exponent: UInt32 = 0x7F80_0000
    var count: UInt32 = 0
    for logit in logits {
        count &+= logit.bitPattern & exponent == exponent ? 1 : 0
    }
    guard count > 0 else { return }
    throw Owl2Error(
        .nonFiniteValue, "\(count) of \(logits.count) logits are NaN or infinite \(place())", subject: "logits")
}

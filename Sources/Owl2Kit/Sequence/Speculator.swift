/// Whether an answer's next tokens are guessed from earlier text and verified several at a time.
///
/// Verified guesses never change an answer: its tokens and log-probabilities are those of one token at a time. Guesses are
/// made in greedy decoding on the library's own kernels.
public struct Speculation: Sendable, Hashable {
    enum Mode: Hashable {
        case automatic, off, always(Int)
    }

    let mode: Mode

    /// Where the guesses so far were right often enough to pay for verifying them.
    public static let automatic = Speculation(mode: .automatic)
    /// Never: one token at a time.
    public static let off = Speculation(mode: .off)
    /// As many guesses as there are, up to this many at each step, whether it pays or not.
    package static func always(_ count: Int) -> Speculation { Speculation(mode: .always(count)) }

    var isOn: Bool { mode != .off }
}

/// Guesses of an answer's tokens, and how many were right.
struct DraftCounts: Sendable, Equatable {
    var proposed = 0
    var accepted = 0
}

/// Decides how many tokens to guess at each step of one answer.
///
/// Every guess is compared with the token that was chosen, also where it was not verified, so that what guesses are worth
/// is known without paying for them. Tokens are verified where the expected number of tokens grows by more than the time
/// of the pass.
struct Speculator {
    let costs: PassCosts
    private let speculation: Speculation
    private var lookup: PromptLookup
    private var acceptance = AcceptanceEstimate()
    private var guess: PromptLookup.Guess?

    /// The most tokens that are verified in one pass.
    static let mostDrafts = 15
    /// How much better than one token at a time the expectation must be.
    private static let margin = 1.1

    init(_ speculation: Speculation, context: [Int], costs: PassCosts) {
        self.speculation = speculation
        self.costs = costs
        lookup = PromptLookup(context)
    }

    /// Tokens to verify with the next pass, possibly none.
    mutating func propose(atMost count: Int) -> [Int] {
        guess = lookup.guess(atMost: min(count, Self.mostDrafts))
        guard let guess else { return [] }
        if case .always(let count) = speculation.mode { return Array(guess.tokens.prefix(count)) }
        return Array(guess.tokens.prefix(bestCount(guess)))
    }

    /// The number of guesses with the most tokens per second.
    private func bestCount(_ guess: PromptLookup.Guess) -> Int {
        var best = (count: 0, worth: Self.margin), expected = 1.0, probability = 1.0
        for count in 1...guess.tokens.count {
            probability *= acceptance[guess.matchLength + count - 1]
            expected += probability
            guard let cost = costs.ratio(rowCount: count + 1) else { return 0 }
            if expected / cost > best.worth { best = (count, expected / cost) }
        }
        return best.count
    }

    /// Takes the tokens that were chosen after the last proposal.
    mutating func learn(_ tokens: [Int]) {
        lookup.append(tokens)
        guard let guess else { return }
        self.guess = nil
        for (offset, (guessed, chosen)) in zip(guess.tokens, tokens).enumerated() {
            acceptance.record(matchLength: guess.matchLength + offset, isRight: guessed == chosen)
            if guessed != chosen { return }
        }
    }
}

/// How often a guess is right, by the length of the match that it comes from. What happened long ago is forgotten.
struct AcceptanceEstimate {
    private static let memory = 0.95
    /// What is assumed at first, with the weight of two guesses.
    private var right = [0.2, 0.5, 0.8, 1.1, 1.3, 1.5]
    private var all = Array(repeating: 2.0, count: PromptLookup.longestMatch)

    subscript(matchLength: Int) -> Double {
        let index = Self.index(matchLength)
        return right[index] / all[index]
    }

    mutating func record(matchLength: Int, isRight: Bool) {
        let index = Self.index(matchLength)
        right[index] = right[index] * Self.memory + (isRight ? 1 : 0)
        all[index] = all[index] * Self.memory + 1
    }

    private static func index(_ matchLength: Int) -> Int { min(matchLength, PromptLookup.longestMatch) - 1 }
}

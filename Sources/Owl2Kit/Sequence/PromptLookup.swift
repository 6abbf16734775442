/// Guesses the next tokens of a text by looking for an earlier place that reads like its end.
///
/// Answers repeat what was said: names, options, lists, code. The guess is what followed the earlier place.
struct PromptLookup {
    /// Tokens that are compared at most.
    static let longestMatch = 6

    private var tokens: [Int]

    /// A guess, and how many of the last tokens the earlier place has in common.
    struct Guess: Equatable {
        var tokens: [Int]
        var matchLength: Int
    }

    /// - Parameter tokens: The text so far; negative ids stand for pictures and are never guessed.
    init(_ tokens: [Int]) {
        self.tokens = tokens
    }

    /// Adds a token to the text.
    mutating func append(_ newTokens: [Int]) {
        tokens += newTokens
    }

    /// The tokens behind the longest match, the latest of equally long ones.
    ///
    /// - Parameter count: The most tokens to guess. A text that repeats itself is carried on beyond its end.
    /// - Returns: The guess, or nil where nothing matches.
    func guess(atMost count: Int) -> Guess? {
        guard count > 0, let match = longestMatch() else { return nil }
        var guess: [Int] = []
        while guess.count < count {
            let source = match.end + guess.count
            let token = source < tokens.count ? tokens[source] : guess[source - tokens.count]
            guard token >= 0 else { break }
            guess.append(token)
        }
        return guess.isEmpty ? nil : Guess(tokens: guess, matchLength: match.length)
    }

    private func longestMatch() -> (end: Int, length: Int)? {
        tokens.withUnsafeBufferPointer { tokens in
            let count = tokens.count
            guard count > 1 else { return nil }
            let last = tokens[count - 1]
            var best: (end: Int, length: Int)?
            var end = count - 1
            while end > 0 {
                if tokens[end - 1] == last {
                    var length = 1
                    while length < min(end, Self.longestMatch), tokens[end - 1 - length] == tokens[count - 1 - length] {
                        length += 1
                    }
                    if length > best?.length ?? 0 { best = (end, length) }
                    if length == Self.longestMatch { break }
                }
                end -= 1
            }
            return best
        }
    }
}

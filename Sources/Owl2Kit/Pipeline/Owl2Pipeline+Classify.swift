import Owl2Core
import Owl2Decoder
import Owl2Tensor

/// How likely the model finds a given continuation.
public struct OptionScore: Sendable, Equatable {
    /// The continuation.
    public let text: String
    /// Its tokens.
    public let tokens: [Int]
    /// The sum of its tokens' log-probabilities behind the prompt.
    public let logprob: Double
    /// The softmax of all options' sums.
    public let probability: Double
}

extension Owl2Pipeline {
    /// Scores given continuations of a prompt: option letters, yes and no, quality words.
    ///
    /// Each option is tokenised as a stretch of its own behind the prompt. The prompt is computed once.
    ///
    /// - Parameters:
    ///   - input: What is asked.
    ///   - options: The continuations, at least one.
    ///   - progressHandler: Sees how far encoding and prefill are.
    /// - Returns: The scores, in the order of the options.
    /// - Throws: `Owl2Error` for no options or an empty one, a context that is too short, or logits that are not finite.
    public func classify(
        _ input: UserInput, options: [String], progressHandler: ProgressHandler? = nil
    ) async throws -> [OptionScore] {
        try await HeavyWork.run { try self.scores(of: options, behind: input, progressHandler) }
    }

    private func scores(
        of options: [String], behind input: UserInput, _ progressHandler: ProgressHandler?
    ) throws -> [OptionScore] {
        guard !options.isEmpty else {
            throw Owl2Error(.invalidInput, "options: expected at least one, found none", subject: "options")
        }
        let prompt = try prepare(input)
        let encoded = try options.map { try encodeOption($0, behind: prompt) }
        let cache = makeCache()
        let logits = try prefill(prompt, images: encode(prompt, progressHandler).rows, into: cache, progressHandler)
        let sums = try encoded.map { tokens in
            try Task.checkCancellation()
            defer { cache.truncate(to: prompt.rowCount) }
            return try logprob(of: tokens, firstLogits: logits, cache: cache)
        }
        let probabilities = try ContinuationScores.probabilities(of: sums)
        return options.indices.map { index in
            OptionScore(
                text: options[index], tokens: encoded[index], logprob: sums[index], probability: probabilities[index])
        }
    }

    private func encodeOption(_ option: String, behind prompt: PreparedPrompt) throws -> [Int] {
        let tokens = tokenizer.encode(option)
        guard !tokens.isEmpty else {
            throw Owl2Error(.invalidInput, "option: expected text, found \"\(option)\"", subject: "options")
        }
        guard prompt.rowCount + tokens.count <= contextLength else {
            throw Owl2Error(
                .contextExceeded,
                "the prompt and an option need \(prompt.rowCount + tokens.count) rows, the context has \(contextLength)"
            )
        }
        return tokens
    }

    /// The sum of the tokens' log-probabilities, each behind the prompt and the tokens before it.
    private func logprob(of tokens: [Int], firstLogits: Matrix, cache: KVCache) throws -> Double {
        var sum = try logprob(of: tokens[0], firstLogits, row: 0)
        let fed = Array(tokens.dropLast())
        guard !fed.isEmpty else { return sum }
        let rows = model.splice(fed, imageMarkerID: -1, images: [])
        let logits = try model.prefill(rows, into: cache, wanting: .all)
        for (row, token) in tokens.dropFirst().enumerated() {
            sum += try logprob(of: token, logits, row: row)
        }
        return sum
    }

    private func logprob(of token: Int, _ logits: Matrix, row: Int) throws -> Double {
        let values = UnsafeBufferPointer(start: logits.row(row), count: logits.columnCount)
        try requireFinite(values, "at an option's token")
        return LogSoftmax(values)[token]
    }
}

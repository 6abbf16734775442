import Owl2Tokenizer

/// One answer as it grows: which token comes next, what text it gives, and when it ends.
///
/// Answers alone, in a conversation and in a batch all take this one step.
struct AnswerState {
    /// The generated tokens, without the end token.
    private(set) var tokens: [Int] = []
    /// Their log-probabilities, where they were asked for.
    private(set) var logprobs: [GeneratedLogprobs] = []
    /// Why the answer ended, once it did.
    private(set) var stopReason: StopReason?

    private var sampler: TokenSampler
    private var detokenizer: StreamingDetokenizer
    private var matcher: StopSequenceMatcher
    private let endTokens: Set<Int>
    private let limit: Int
    private let limitReason: StopReason

    /// - Parameters:
    ///   - sampler: Chooses tokens.
    ///   - parameters: The sampler's.
    ///   - tokenizer: Makes text of tokens.
    ///   - endTokens: The ids that end an answer.
    ///   - room: The rows that the context has left behind the prompt.
    init(
        sampler: TokenSampler, parameters: GenerateParameters, tokenizer: Tokenizer, endTokens: Set<Int>, room: Int
    ) {
        self.sampler = sampler
        self.endTokens = endTokens
        detokenizer = StreamingDetokenizer(tokenizer)
        matcher = StopSequenceMatcher(parameters.stopSequences)
        limit = min(parameters.maxNewTokens, room)
        limitReason = room < parameters.maxNewTokens ? .context : .length
    }

    /// The seed of the random numbers, or nil where there are none.
    var seed: UInt64? { sampler.seed }

    /// How many tokens may still be generated.
    var remainingCount: Int { limit - tokens.count }

    /// Chooses the next token from the logits behind all tokens so far.
    ///
    /// - Parameters:
    ///   - logits: `[vocabulary]`.
    ///   - emit: Takes a piece of text that is certain.
    /// - Throws: `Owl2Error` for logits that are not finite.
    mutating func advance(_ logits: UnsafeBufferPointer<Float>, _ emit: (String) -> Void) throws {
        let sampled = try sampler.next(logits: logits)
        guard !endTokens.contains(sampled.id) else { return finish(.end, emit) }
        tokens.append(sampled.id)
        if let logprobs = sampled.logprobs { self.logprobs.append(logprobs) }
        show(matcher.append(detokenizer.append(sampled.id)), emit)
        if matcher.isStopped {
            stopReason = .stop
        } else if tokens.count == limit {
            finish(limitReason, emit)
        }
    }

    /// Shows what was held back, in which a stop sequence may turn up.
    private mutating func finish(_ reason: StopReason, _ emit: (String) -> Void) {
        show(matcher.append(detokenizer.finish()), emit)
        show(matcher.finish(), emit)
        stopReason = matcher.isStopped ? .stop : reason
    }

    private func show(_ text: String, _ emit: (String) -> Void) {
        if !text.isEmpty { emit(text) }
    }
}

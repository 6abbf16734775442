import Owl2Core

/// A token that was chosen, with log-probabilities if they were asked for.
struct SampledToken: Sendable, Equatable {
    /// The token's id.
    let id: Int
    /// The log-probabilities under the model's raw logits.
    let logprobs: GeneratedLogprobs?
}

/// Chooses one token after another for one answer.
///
/// The order is fixed: the logits are checked to be finite; repetition penalty; presence and frequency penalty; logit
/// bias; mask of the end tokens; then the highest score is taken, or temperature, top-k, top-p and min-p are applied and
/// a token is drawn. Log-probabilities are those of the logits before any of it.
struct TokenSampler: Sendable {
    /// The seed of the random numbers, given or drawn; `nil` for greedy choice without a seed.
    let seed: UInt64?

    /// Whether the highest score is taken, without random numbers.
    var isGreedy: Bool { random == nil }

    private let vocabularySize: Int
    private let topLogprobs: Int?
    private var processor: LogitsProcessor
    private var random: RandomChoice?
    /// Scratch: the logits after the processors, which never write to the model's own.
    private var scores: [Float] = []

    /// - Parameters:
    ///   - parameters: How to choose.
    ///   - promptTokens: The prompt's ids of text; ids outside of the vocabulary are left out.
    ///   - endTokens: The ids that end an answer.
    ///   - vocabularySize: The number of logits.
    /// - Throws: `Owl2Error` (`invalidInput`) for parameters that are not valid for the vocabulary.
    init(parameters: GenerateParameters, promptTokens: [Int], endTokens: Set<Int>, vocabularySize: Int) throws {
        try parameters.validate(vocabularySize: vocabularySize)
        self.vocabularySize = vocabularySize
        topLogprobs = parameters.topLogprobs
        processor = LogitsProcessor(
            parameters: parameters, promptTokens: promptTokens, endTokens: endTokens, vocabularySize: vocabularySize)
        switch parameters.sampling {
        case .greedy:
            seed = nil
        case .random(temperature: 0, _, _, _, let seed):
            self.seed = seed
        case .random(let temperature, let topP, let topK, let minP, let givenSeed):
            let seed = givenSeed ?? SplitMix64.drawSeed()
            self.seed = seed
            random = RandomChoice(
                temperature: temperature, topP: topP, topK: topK, minP: minP, seed: seed, vocabularySize: vocabularySize
            )
        }
    }

    /// Chooses the next token and remembers it for the penalties.
    ///
    /// - Parameter logits: The model's logits `[vocabulary]`.
    /// - Throws: `Owl2Error`: `nonFiniteValue` with the number of NaN and infinities and the place, `invalidInput` if
    ///   every token of the vocabulary is an end token that is not allowed yet.
    mutating func next(logits: UnsafeBufferPointer<Float>) throws -> SampledToken {
        precondition(logits.count == vocabularySize, "\(logits.count) logits for \(vocabularySize) tokens")
        try requireFinite(logits, "at generated token \(processor.outputCount + 1)")
        let id = try processor.isActive ? chooseProcessed(logits) : choose(from: logits)
        processor.record(id)
        guard let topLogprobs else { return SampledToken(id: id, logprobs: nil) }
        let logSoftmax = LogSoftmax(logits)
        let chosen = TokenLogprob(token: id, logprob: logSoftmax[id])
        return SampledToken(id: id, logprobs: GeneratedLogprobs(chosen: chosen, top: logSoftmax.top(topLogprobs)))
    }

    private mutating func chooseProcessed(_ logits: UnsafeBufferPointer<Float>) throws -> Int {
        var scores = self.scores
        self.scores = []
        defer { self.scores = scores }
        scores.removeAll(keepingCapacity: true)
        scores.append(contentsOf: logits)
        return try scores.withUnsafeMutableBufferPointer { buffer in
            processor.process(buffer)
            return try choose(from: UnsafeBufferPointer(buffer))
        }
    }

    private mutating func choose(from scores: UnsafeBufferPointer<Float>) throws -> Int {
        var best = 0
        var largest = -Float.infinity
        for token in 0..<scores.count where scores[token] > largest {
            best = token
            largest = scores[token]
        }
        guard largest > -.infinity else {
            throw Owl2Error(
                .invalidInput, "minimum of new tokens: no token of the vocabulary is left but end tokens",
                subject: "minNewTokens")
        }
        return random?.choose(from: scores, largest: largest) ?? best
    }
}

import Owl2Core

/// How an answer is generated: its length, how tokens are chosen, and where it stops.
///
/// Names and meanings follow Hugging Face's `GenerationConfig`; presence and frequency penalties follow OpenAI's API.
public struct GenerateParameters: Sendable, Equatable {
    /// How the next token is chosen from the scores.
    public enum Sampling: Sendable, Equatable {
        /// The token of the highest score; of equal ones the lowest id.
        case greedy
        /// A draw from the softmax of the scores, after these filters in this order.
        ///
        /// - Parameters:
        ///   - temperature: Divides the scores. 0 is the same as `greedy`.
        ///   - topP: Keeps the smallest set of the likeliest tokens whose probabilities sum to at least this; 1 keeps all.
        ///   - topK: Keeps the tokens that score at least as high as the `topK`-th; 0 keeps all.
        ///   - minP: Keeps the tokens at least this times as likely as the likeliest; 0 keeps all.
        ///   - seed: Seeds the random numbers. The same seed, input and build give the same text; `nil` draws a seed,
        ///     which ``GenerationInfo/seed`` tells.
        case random(temperature: Float = 1, topP: Float = 1, topK: Int = 0, minP: Float = 0, seed: UInt64? = nil)
    }

    /// The most tokens to generate, the end token included; cut to what the context leaves.
    public var maxNewTokens: Int
    /// The end token is not chosen before this many tokens were generated.
    public var minNewTokens: Int
    /// How the next token is chosen.
    public var sampling: Sampling
    /// Divides the positive and multiplies the negative logits of tokens that are in the prompt or the output; 1 is off.
    public var repetitionPenalty: Float
    /// Taken once from the logit of every token that is in the output; 0 is off.
    public var presencePenalty: Float
    /// Taken from the logit of a token for each time that it is in the output; 0 is off.
    public var frequencyPenalty: Float
    /// Added to the logits of these token ids.
    public var logitBias: [Int: Float]
    /// Texts that end the answer, which is cut in front of the leftmost of them.
    public var stopSequences: [String]
    /// Asks for the log-probability of each generated token and of this many of the likeliest ones; `nil` asks for none.
    public var topLogprobs: Int?
    /// Whether tokens are guessed from earlier text and verified several at a time, which changes no answer.
    public var speculation: Speculation

    /// Parameters for one answer: greedy and at most 512 tokens, unless said otherwise.
    ///
    /// - Parameters:
    ///   - maxNewTokens: The most tokens to generate.
    ///   - minNewTokens: How many tokens are generated before the end token may be chosen.
    ///   - sampling: How the next token is chosen.
    ///   - repetitionPenalty: Above 1, tokens of the prompt and the output become less likely.
    ///   - presencePenalty: Above 0, tokens of the output become less likely.
    ///   - frequencyPenalty: Above 0, tokens of the output become less likely each time they occur.
    ///   - logitBias: What is added to the logits of token ids.
    ///   - stopSequences: Texts that end the answer.
    ///   - topLogprobs: How many of the likeliest tokens to report at each place, or `nil` for no log-probabilities.
    ///   - speculation: Whether tokens are guessed and verified several at a time.
    public init(
        maxNewTokens: Int = 512, minNewTokens: Int = 0, sampling: Sampling = .greedy, repetitionPenalty: Float = 1,
        presencePenalty: Float = 0, frequencyPenalty: Float = 0, logitBias: [Int: Float] = [:],
        stopSequences: [String] = [], topLogprobs: Int? = nil, speculation: Speculation = .automatic
    ) {
        self.maxNewTokens = maxNewTokens
        self.minNewTokens = minNewTokens
        self.sampling = sampling
        self.repetitionPenalty = repetitionPenalty
        self.presencePenalty = presencePenalty
        self.frequencyPenalty = frequencyPenalty
        self.logitBias = logitBias
        self.stopSequences = stopSequences
        self.topLogprobs = topLogprobs
        self.speculation = speculation
    }
}

extension GenerateParameters {
    /// Checks every value that does not depend on a model.
    ///
    /// - Throws: `Owl2Error` (`invalidInput`) that names the first parameter that makes no sense, what was expected and
    ///   what was found.
    public func validate() throws {
        try Self.require(maxNewTokens >= 1, "maximum of new tokens", "at least 1", maxNewTokens, "maxNewTokens")
        try Self.require(minNewTokens >= 0, "minimum of new tokens", "at least 0", minNewTokens, "minNewTokens")
        try Self.require(
            minNewTokens <= maxNewTokens, "minimum of new tokens", "at most the maximum of \(maxNewTokens)",
            minNewTokens, "minNewTokens")
        try sampling.validate()
        try Self.require(
            repetitionPenalty > 0 && repetitionPenalty.isFinite, "repetition penalty", "a finite number above 0",
            repetitionPenalty, "repetitionPenalty")
        try Self.require(
            presencePenalty.isFinite, "presence penalty", "a finite number", presencePenalty, "presencePenalty")
        try Self.require(
            frequencyPenalty.isFinite, "frequency penalty", "a finite number", frequencyPenalty, "frequencyPenalty")
        for (token, bias) in logitBias.sorted(by: { $0.key < $1.key }) {
            try Self.require(token >= 0, "logit bias", "token ids of at least 0", token, "logitBias")
            try Self.require(bias.isFinite, "logit bias of token \(token)", "a finite number", bias, "logitBias")
        }
        try Self.require(
            !stopSequences.contains(""), "stop sequences", "texts of at least one character", "an empty one",
            "stopSequences")
        if let topLogprobs {
            try Self.require(topLogprobs >= 0, "number of log-probabilities", "at least 0", topLogprobs, "topLogprobs")
        }
    }

    /// Checks every value, those that name tokens against the model's vocabulary too.
    ///
    /// - Parameter vocabularySize: The number of tokens, which is the number of logits.
    /// - Throws: `Owl2Error` (`invalidInput`), as ``validate()`` does.
    public func validate(vocabularySize: Int) throws {
        try validate()
        if let token = logitBias.keys.max() {
            try Self.require(
                token < vocabularySize, "logit bias", "token ids below the vocabulary's size of \(vocabularySize)",
                token,
                "logitBias")
        }
        if let topLogprobs {
            try Self.require(
                topLogprobs <= vocabularySize, "number of log-probabilities",
                "at most the vocabulary's size of \(vocabularySize)", topLogprobs, "topLogprobs")
        }
    }

    fileprivate static func require(
        _ condition: Bool, _ name: String, _ expected: String, _ found: any CustomStringConvertible, _ parameter: String
    ) throws {
        guard !condition else { return }
        throw Owl2Error(.invalidInput, "\(name): expected \(expected), found \(found)", subject: parameter)
    }
}

extension GenerateParameters.Sampling {
    fileprivate func validate() throws {
        guard case .random(let temperature, let topP, let topK, let minP, _) = self else { return }
        let require = GenerateParameters.require
        try require(
            temperature >= 0 && temperature.isFinite, "temperature", "a finite number of at least 0", temperature,
            "temperature")
        try require(topP > 0 && topP <= 1, "top-p", "a number above 0 and at most 1", topP, "topP")
        try require(topK >= 0, "top-k", "at least 0 (which keeps all)", topK, "topK")
        try require(minP >= 0 && minP <= 1, "min-p", "a number from 0 to 1", minP, "minP")
    }
}

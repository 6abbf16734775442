/// Why an answer ended.
public enum StopReason: String, Sendable, Codable {
    /// The model chose its end token.
    case end
    /// One of ``GenerateParameters/stopSequences`` was generated.
    case stop
    /// As many tokens as ``GenerateParameters/maxNewTokens`` allows were generated.
    case length
    /// The model's context is full.
    case context
}

/// A token with its log-probability.
public struct TokenLogprob: Sendable, Equatable {
    /// The token's id.
    public var token: Int
    /// The natural logarithm of its probability under the model: the log-softmax of the raw logits, before penalties,
    /// bias, temperature and filters.
    public var logprob: Double

    /// A token of a log-probability.
    public init(token: Int, logprob: Double) {
        self.token = token
        self.logprob = logprob
    }
}

/// The log-probabilities at one generated token.
public struct GeneratedLogprobs: Sendable, Equatable {
    /// The token that was chosen.
    public var chosen: TokenLogprob
    /// The likeliest tokens, as many as ``GenerateParameters/topLogprobs`` asks for, the likeliest first and of equal
    /// ones the lowest id first.
    public var top: [TokenLogprob]

    /// The chosen token and the likeliest ones.
    public init(chosen: TokenLogprob, top: [TokenLogprob]) {
        self.chosen = chosen
        self.top = top
    }
}

/// How long the stages of one answer took, in seconds.
public struct GenerationTimings: Sendable, Equatable {
    /// Loading the model, where the answer is the first thing that was asked of it; `nil` otherwise.
    public var load: Double?
    /// Decoding, preparing and encoding the images.
    public var image: Double
    /// Running the prompt's rows through the decoder.
    public var prefill: Double
    /// Generating the tokens behind the prompt.
    public var decode: Double

    /// The seconds of each stage.
    public init(load: Double? = nil, image: Double = 0, prefill: Double = 0, decode: Double = 0) {
        self.load = load
        self.image = image
        self.prefill = prefill
        self.decode = decode
    }
}

/// What is known about an answer once it ended.
public struct GenerationInfo: Sendable, Equatable {
    /// All rows of the prompt, those of its images included.
    public var promptTokenCount: Int
    /// The rows of the prompt's images.
    public var imageTokenCount: Int
    /// The generated tokens without the end token, those of a stop sequence included.
    public var tokens: [Int]
    /// Why the answer ended.
    public var stopReason: StopReason
    /// The seed of the random numbers, or `nil` where none was given or drawn.
    public var seed: UInt64?
    /// How long each stage took.
    public var timings: GenerationTimings
    /// The log-probabilities of `tokens`, one for one, where ``GenerateParameters/topLogprobs`` asked for them.
    public var logprobs: [GeneratedLogprobs]?
    /// How many tokens were guessed from earlier text and verified: see ``GenerateParameters/speculation``.
    public var draftTokenCount = 0
    /// How many of those guesses were right, each of which saved a step.
    public var acceptedDraftTokenCount = 0
    /// How many of the prompt's images had been encoded before.
    public var cachedImageCount = 0

    /// The number of `tokens`.
    public var generatedTokenCount: Int { tokens.count }

    /// What is known about an answer.
    public init(
        promptTokenCount: Int, imageTokenCount: Int, tokens: [Int], stopReason: StopReason, seed: UInt64? = nil,
        timings: GenerationTimings = GenerationTimings(), logprobs: [GeneratedLogprobs]? = nil
    ) {
        self.promptTokenCount = promptTokenCount
        self.imageTokenCount = imageTokenCount
        self.tokens = tokens
        self.stopReason = stopReason
        self.seed = seed
        self.timings = timings
        self.logprobs = logprobs
    }
}

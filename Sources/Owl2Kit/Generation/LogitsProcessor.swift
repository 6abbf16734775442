/// What changes the logits before a token is chosen, in this order: repetition penalty, presence and frequency penalty,
/// logit bias, and the mask of the end tokens while the output is shorter than asked for.
struct LogitsProcessor: Sendable {
    private let parameters: GenerateParameters
    private let endTokens: [Int]
    /// The tokens that the repetition penalty applies to, each once: those of the prompt and of the output.
    private var seenTokens: Set<Int>
    private var outputCounts: [Int: Int] = [:]
    /// The number of tokens generated so far.
    private(set) var outputCount = 0

    /// - Parameters:
    ///   - parameters: Valid for the vocabulary.
    ///   - promptTokens: The prompt's token ids; any outside of the vocabulary (image markers) are left out.
    ///   - endTokens: The tokens that end an answer; any outside of the vocabulary are left out.
    ///   - vocabularySize: The number of logits.
    init(parameters: GenerateParameters, promptTokens: [Int], endTokens: Set<Int>, vocabularySize: Int) {
        let vocabulary = 0..<vocabularySize
        self.parameters = parameters
        self.endTokens = endTokens.filter(vocabulary.contains)
        seenTokens = parameters.repetitionPenalty == 1 ? [] : Set(promptTokens.filter(vocabulary.contains))
    }

    /// Whether any logit of the next token changes.
    var isActive: Bool {
        !seenTokens.isEmpty || !outputCounts.isEmpty || !parameters.logitBias.isEmpty || masksEndTokens
    }

    private var masksEndTokens: Bool { outputCount < parameters.minNewTokens && !endTokens.isEmpty }

    /// Changes the logits of the next token in place. They stay finite, but for the masked ones.
    func process(_ logits: UnsafeMutableBufferPointer<Float>) {
        let limit = Float.greatestFiniteMagnitude
        func change(_ token: Int, to value: Float) {
            logits[token] = max(-limit, min(limit, value))
        }
        let penalty = parameters.repetitionPenalty
        for token in seenTokens {
            let logit = logits[token]
            change(token, to: logit < 0 ? logit * penalty : logit / penalty)
        }
        for (token, count) in outputCounts {
            let taken = parameters.presencePenalty + parameters.frequencyPenalty * Float(count)
            change(token, to: logits[token] - max(-limit, min(limit, taken)))
        }
        for (token, bias) in parameters.logitBias {
            change(token, to: logits[token] + bias)
        }
        if masksEndTokens {
            for token in endTokens {
                logits[token] = -.infinity
            }
        }
    }

    /// Notes a generated token.
    mutating func record(_ token: Int) {
        outputCount += 1
        if parameters.repetitionPenalty != 1 {
            seenTokens.insert(token)
        }
        if parameters.presencePenalty != 0 || parameters.frequencyPenalty != 0 {
            outputCounts[token, default: 0] += 1
        }
    }
}

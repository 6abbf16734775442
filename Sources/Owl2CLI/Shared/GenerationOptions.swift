import ArgumentParser
import Owl2Kit

/// How an answer is generated.
struct GenerationOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("The most tokens to generate; cut to what the context leaves.", valueName: "n"))
    var maxTokens = 512

    @Option(parsing: .unconditional, help: ArgumentHelp("Do not end before this many tokens.", valueName: "n"))
    var minTokens = 0

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Draw tokens at this temperature; 0 takes the likeliest one. (default: 0, or 1 with --top-p, --top-k or --min-p)",
            valueName: "t"))
    var temperature: Float?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Draw from the likeliest tokens that make up this probability.", valueName: "p"))
    var topP: Float?

    @Option(parsing: .unconditional, help: ArgumentHelp("Draw from this many of the likeliest tokens.", valueName: "k"))
    var topK: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Draw from tokens at least this times as likely as the likeliest.", valueName: "p"))
    var minP: Float?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Above 1, tokens of prompt and answer become less likely.", valueName: "r"))
    var repetitionPenalty: Float = 1

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Taken once from the logit of a token of the answer.", valueName: "p"))
    var presencePenalty: Float = 0

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Taken from the logit of a token each time it is in the answer.", valueName: "p"))
    var frequencyPenalty: Float = 0

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Add X to the logit of token ID; may be repeated.", valueName: "id=x"))
    var logitBias: [TokenBias] = []

    @Option(parsing: .unconditional, help: ArgumentHelp("Seeds the random numbers.", valueName: "s"))
    var seed: UInt64?

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("End the answer in front of this text; may be repeated.", valueName: "text"))
    var stop: [String] = []

    @Flag(
        inversion: .prefixedNo,
        help: "Guess tokens from earlier text and verify several at a time where it pays; the answer is the same.")
    var speculation = true

    func validate() throws {
        for (index, bias) in logitBias.enumerated()
        where logitBias[..<index].contains(where: { $0.token == bias.token }) {
            throw ValidationError("--logit-bias: expected each token once, found \(bias.token) twice")
        }
        do {
            try parameters().validate()
        } catch let error as Owl2Error {
            throw ValidationError(error.message)
        }
    }

    /// What the options say, in the library's words.
    func parameters(topLogprobs: Int? = nil) -> GenerateParameters {
        GenerateParameters(
            maxNewTokens: maxTokens, minNewTokens: minTokens, sampling: sampling, repetitionPenalty: repetitionPenalty,
            presencePenalty: presencePenalty, frequencyPenalty: frequencyPenalty,
            logitBias: Dictionary(logitBias.map { ($0.token, $0.bias) }, uniquingKeysWith: { _, last in last }),
            stopSequences: stop, topLogprobs: topLogprobs, speculation: speculation ? .automatic : .off)
    }

    private var sampling: GenerateParameters.Sampling {
        let hasFilter = topP != nil || topK != nil || minP != nil
        guard hasFilter || temperature != nil || seed != nil else { return .greedy }
        return .random(
            temperature: temperature ?? (hasFilter ? 1 : 0), topP: topP ?? 1, topK: topK ?? 0, minP: minP ?? 0,
            seed: seed)
    }
}

/// A token and what is added to its logit: `ID=X`.
struct TokenBias: ExpressibleByArgument {
    let token: Int
    let bias: Float

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let token = Int(parts[0]), let bias = Float(parts[1]) else { return nil }
        self.token = token
        self.bias = bias
    }
}

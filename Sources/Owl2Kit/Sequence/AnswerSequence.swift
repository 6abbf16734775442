import Owl2Core
import Owl2Decoder
import Owl2Tensor
import Owl2Tokenizer

/// A sequence whose prompt has been run: its keys and values, and the answer that grows behind it.
///
/// Whoever drives it asks for the next part of a pass, runs it, and hands the logits back, until the answer has ended.
final class AnswerSequence {
    /// The keys and values of the prompt and of the tokens that were run.
    let cache: KVCache
    private(set) var answer: AnswerState
    /// What prompt lookup did.
    private(set) var drafts = DraftCounts()
    private let model: Owl2Model
    private let promptRowCount: Int
    private var speculator: Speculator?
    /// Proposed tokens that are in the pass under way.
    private var pendingDrafts: [Int] = []

    /// - Parameters:
    ///   - pipeline: The model.
    ///   - cache: Holds the prompt.
    ///   - sampler: Chooses tokens.
    ///   - parameters: The sampler's.
    ///   - context: The tokens in the cache, `Tokenizer.imageMarkerID` for a picture, to look for repetitions in.
    init(
        _ pipeline: Owl2Pipeline, cache: KVCache, sampler: TokenSampler, parameters: GenerateParameters, context: [Int]
    ) {
        self.cache = cache
        model = pipeline.model
        promptRowCount = cache.count
        answer = AnswerState(
            sampler: sampler, parameters: parameters, tokenizer: pipeline.tokenizer,
            endTokens: pipeline.configuration.endTokenIDs, room: pipeline.contextLength - cache.count)
        if parameters.speculation.isOn, sampler.isGreedy, pipeline.givesSameBitsForManyRows {
            speculator = Speculator(parameters.speculation, context: context, costs: pipeline.passCosts)
        }
    }

    /// Whether nothing more is to be run.
    var isFinished: Bool { answer.stopReason != nil }

    /// Whether the answer's last token was chosen but not run through the decoder.
    var lastTokenIsPending: Bool { cache.count - promptRowCount < answer.tokens.count }

    /// The rows that the sequence adds to the next pass: its last token, and with it tokens that may come next.
    ///
    /// - Parameter isAlone: Whether no other sequence is in the pass; guesses are for passes with room.
    func nextPart(isAlone: Bool) -> SequencePart {
        pendingDrafts = isAlone ? proposeDrafts() : []
        let tokens = answer.tokens.suffix(1) + pendingDrafts
        return SequencePart(
            cache: cache,
            rows: PromptRows(
                embeddings: model.decoder.embed(Array(tokens)),
                modalities: Array(repeating: .text, count: tokens.count)),
            logitCount: tokens.count)
    }

    /// Guesses, as many as neither the answer's limit nor the positions forbid: under dynamic scaling a longer sequence has
    /// other positions.
    private func proposeDrafts() -> [Int] {
        guard speculator != nil else { return [] }
        var most = min(answer.remainingCount - 1, Speculator.mostDrafts)
        while most > 0, model.decoder.needsOnePass(rowCount: cache.count + 1 + most) { most -= 1 }
        return speculator?.propose(atMost: most) ?? []
    }

    /// Chooses tokens from the logits of a pass: one, and another one behind each guess that was right.
    ///
    /// Whether it returns or throws, the cache then holds no row of a wrong guess.
    ///
    /// - Parameters:
    ///   - logits: The pass's logits.
    ///   - firstRow: The first row of this sequence's.
    ///   - emit: Takes pieces of text.
    /// - Throws: `CancellationError` before a token; `Owl2Error` for logits that are not finite.
    func take(_ logits: Matrix, firstRow: Int = 0, _ emit: (String) -> Void) throws {
        let guesses = pendingDrafts, before = answer.tokens.count
        pendingDrafts = []
        var rightCount = 0
        defer {
            if rightCount < guesses.count { cache.truncate(to: cache.count - guesses.count + rightCount) }
            drafts.proposed += guesses.count
            drafts.accepted += rightCount
            speculator?.learn(Array(answer.tokens[before...]))
        }
        while true {
            try Task.checkCancellation()
            try answer.advance(
                UnsafeBufferPointer(start: logits.row(firstRow + rightCount), count: logits.columnCount), emit)
            guard !isFinished, rightCount < guesses.count, answer.tokens.last == guesses[rightCount] else { return }
            rightCount += 1
        }
    }

    /// Generates until the end.
    ///
    /// - Parameters:
    ///   - logits: Of the prompt's last row, `[1, vocabulary]`.
    ///   - emit: Takes pieces of text.
    /// - Throws: `CancellationError` before the next token; `Owl2Error` for logits that are not finite.
    func run(from logits: Matrix, _ emit: (String) -> Void) throws {
        try take(logits, emit)
        while !isFinished {
            let part = nextPart(isAlone: true)
            try take(measured(part.logitCount) { try model.forward([part]) }, emit)
        }
    }

    /// Runs a pass of this sequence alone, and notes how long it took.
    func measured(_ rowCount: Int, _ pass: () throws -> Matrix) rethrows -> Matrix {
        guard let speculator else { return try pass() }
        let start = ContinuousClock.now
        let logits = try pass()
        speculator.costs.record(rowCount: rowCount, seconds: seconds(since: start))
        return logits
    }

    /// What is known about the answer, once it ended.
    func info(
        _ prompt: PreparedPrompt, _ images: EncodedImages, _ timings: GenerationTimings,
        _ parameters: GenerateParameters
    ) -> GenerationInfo {
        var info = GenerationInfo(
            promptTokenCount: promptRowCount, imageTokenCount: prompt.imageRowCount, tokens: answer.tokens,
            stopReason: answer.stopReason ?? .length, seed: answer.seed, timings: timings,
            logprobs: parameters.topLogprobs == nil ? nil : answer.logprobs)
        info.draftTokenCount = drafts.proposed
        info.acceptedDraftTokenCount = drafts.accepted
        info.cachedImageCount = images.cachedCount
        return info
    }
}

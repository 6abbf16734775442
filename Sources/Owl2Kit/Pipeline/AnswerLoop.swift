import Owl2Core
import Owl2Decoder
import Owl2Tensor
import Owl2Tokenizer

/// The loop that generates one answer: choose a token, show its text, run it through the decoder.
struct AnswerLoop {
    let model: Owl2Model
    let tokenizer: Tokenizer
    let parameters: GenerateParameters

    /// What came out, and what the cache lacks of it.
    struct Outcome {
        var tokens: [Int] = []
        var logprobs: [GeneratedLogprobs] = []
        var stopReason = StopReason.length
        /// Whether the last token was chosen but not yet run through the decoder.
        var lastTokenIsPending = false
    }

    /// Generates until the end.
    ///
    /// - Parameters:
    ///   - logits: Of the prompt's last row.
    ///   - cache: Holds the prompt; each token but the last is added to it.
    ///   - sampler: Chooses tokens.
    ///   - outcome: Is kept up to date, so that it tells what the cache holds even when this throws.
    ///   - emit: Takes the pieces of text.
    /// - Throws: `CancellationError` before the next token; `Owl2Error` for logits that are not finite.
    func run(
        from logits: Matrix, cache: KVCache, sampler: inout TokenSampler, outcome: inout Outcome,
        emit: (String) -> Void
    ) throws {
        var logits = logits
        var detokenizer = StreamingDetokenizer(tokenizer)
        var matcher = StopSequenceMatcher(parameters.stopSequences)
        let room = model.configuration.decoder.contextLength - cache.count
        let limit = min(parameters.maxNewTokens, room)
        func show(_ text: String) {
            if !text.isEmpty { emit(text) }
        }
        while true {
            try Task.checkCancellation()
            let sampled = try sampler.next(
                logits: UnsafeBufferPointer(start: logits.elements, count: logits.columnCount))
            if model.configuration.endTokenIDs.contains(sampled.id) {
                outcome.stopReason = .end
                break
            }
            outcome.tokens.append(sampled.id)
            outcome.lastTokenIsPending = true
            if let logprobs = sampled.logprobs { outcome.logprobs.append(logprobs) }
            show(matcher.append(detokenizer.append(sampled.id)))
            if matcher.isStopped {
                outcome.stopReason = .stop
                return
            }
            if outcome.tokens.count == limit {
                outcome.stopReason = limit < parameters.maxNewTokens ? .context : .length
                break
            }
            logits = try model.decoder.forward(
                model.decoder.embed([sampled.id]),
                rows: [DecoderRow(sequence: 0, position: cache.count, modality: .text)], caches: [cache],
                logitRows: [0])
            outcome.lastTokenIsPending = false
        }
        show(matcher.append(detokenizer.finish()))
        show(matcher.finish())
        if matcher.isStopped { outcome.stopReason = .stop }
    }
}

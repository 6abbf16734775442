import Owl2Core
import Owl2Decoder
import Owl2Tensor

/// A request that has a slot: first its pictures are encoded, then its prompt is run, then its answer grows.
///
/// It belongs to the scheduler's loop.
final class BatchSequence {
    let request: GenerationScheduler.Request
    private let pipeline: Owl2Pipeline
    private let prompt: PreparedPrompt
    private let sampler: TokenSampler
    private let cache: KVCache

    private var pictures: [PictureRequest]
    private var embeddings: [Matrix?]
    private var cachedCount = 0

    private var promptRows: PromptRows?
    private var prefilledCount = 0
    private(set) var answer: AnswerSequence?

    private var timings = GenerationTimings()
    private var phaseStart = ContinuousClock.now

    /// Checks a request and opens its pictures.
    ///
    /// - Throws: `Owl2Error` for input that makes no sense.
    init(_ request: GenerationScheduler.Request, _ pipeline: Owl2Pipeline) throws {
        self.request = request
        self.pipeline = pipeline
        prompt = try pipeline.prepare(request.input)
        sampler = try pipeline.makeSampler(request.parameters, promptTokens: prompt.tokens)
        pictures = try pipeline.requests(prompt)
        embeddings = Array(repeating: nil, count: pictures.count)
        cache = pipeline.makeCache()
    }

    /// Whether the result was handed out.
    var hasEnded = false
    /// Whether the answer is whole.
    var isFinished: Bool { answer?.isFinished ?? false }

    // MARK: Pictures

    /// Takes embeddings that are at hand.
    ///
    /// - Returns: The pictures that are still to be encoded, by index.
    func missingPictures() -> [Int] {
        embeddings.indices.filter { index in
            guard embeddings[index] == nil else { return false }
            embeddings[index] = pipeline.cachedRows(pictures[index])
            if embeddings[index] != nil { cachedCount += 1 }
            return embeddings[index] == nil
        }
    }

    func picture(_ index: Int) -> PictureRequest { pictures[index] }

    /// Takes the embedding of a picture.
    func setEmbedding(_ rows: Matrix, of index: Int) {
        embeddings[index] = rows
    }

    // MARK: Passes of the decoder

    /// The rows that the sequence adds to the next pass, or nil while its pictures are not encoded.
    ///
    /// - Parameters:
    ///   - promptRowCount: How many rows of prompts the pass has room for.
    ///   - isAlone: Whether the sequence is the only one.
    func nextPart(promptRowCount room: Int, isAlone: Bool) -> SequencePart? {
        if let answer { return answer.nextPart(isAlone: isAlone) }
        guard let rows = preparedRows() else { return nil }
        let total = rows.modalities.count
        let end = runsAlone ? total : min(total, prefilledCount + room)
        guard end > prefilledCount else { return nil }
        return SequencePart(cache: cache, rows: rows[prefilledCount..<end], logitCount: end == total ? 1 : 0)
    }

    /// Whether the prompt is being run.
    var isPrefilling: Bool { answer == nil }

    /// Whether the next pass must compute the whole sequence anew, which is done apart from the others.
    var runsAlone: Bool {
        let rowCount = answer == nil ? prompt.rowCount : cache.count + 1
        return pipeline.model.decoder.needsOnePass(rowCount: rowCount)
    }

    private func preparedRows() -> PromptRows? {
        if let promptRows { return promptRows }
        guard missingPictures().isEmpty else { return nil }
        let images = embeddings.compactMap { $0 }
        endPhase(\.image)
        let rows = pipeline.splice(prompt, images)
        promptRows = rows
        pictures = []
        embeddings = []
        return rows
    }

    /// Takes the logits of a pass that the sequence had a part in.
    ///
    /// - Parameters:
    ///   - logits: The pass's logits.
    ///   - firstRow: The first row of this sequence's.
    ///   - part: The part.
    /// - Throws: `Owl2Error` for logits that are not finite.
    func take(_ logits: Matrix, firstRow: Int, _ part: SequencePart) throws {
        if answer == nil {
            prefilledCount += part.rows.modalities.count
            guard part.logitCount > 0 else { return }
            endPhase(\.prefill)
            promptRows = nil
            answer = AnswerSequence(
                pipeline, cache: cache, sampler: sampler, parameters: request.parameters, context: prompt.tokens)
        }
        try answer?.take(logits, firstRow: firstRow) { request.handler(.text($0)) }
    }

    /// What is known about the answer that ended.
    func info() -> GenerationInfo? {
        endPhase(\.decode)
        return answer?.info(prompt, EncodedImages(cachedCount: cachedCount), timings, request.parameters)
    }

    private func endPhase(_ phase: WritableKeyPath<GenerationTimings, Double>) {
        timings[keyPath: phase] = seconds(since: phaseStart)
        phaseStart = .now
    }
}

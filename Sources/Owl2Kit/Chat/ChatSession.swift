import Foundation
import Owl2Core
import Owl2Decoder
import Owl2Image
import Owl2Tensor
import Owl2Tokenizer

/// A conversation about pictures.
///
/// A session keeps what was said as token ids, never tokenised again, and as keys and values: the next turn runs only the
/// end of the last answer and its own rows through the decoder. Turns that are asked for at once take place one after
/// another.
///
/// ```swift
/// let chat = ChatSession(owl)
/// try await chat.respond(to: "Describe it.", images: [.file(url)])
/// try await chat.respond(to: "How many squares are there?")
/// ```
public actor ChatSession {
    /// How answers are generated.
    public nonisolated let parameters: GenerateParameters
    private nonisolated let pipeline: Owl2Pipeline
    private nonisolated let fit: ImageFit
    private nonisolated let honorsOrientation: Bool

    private(set) var cache: KVCache
    /// The tokens of the conversation so far, `Tokenizer.imageMarkerID` where a picture stands.
    private(set) var tokens: [Int] = []
    /// How many of the last tokens are not in the cache yet.
    private(set) var pendingCount = 0

    /// A conversation that has not begun.
    ///
    /// - Parameters:
    ///   - pipeline: The model that answers.
    ///   - parameters: How to generate.
    ///   - fit: How pictures become squares.
    ///   - honorsOrientation: Whether pictures are turned as their EXIF data says.
    public init(
        _ pipeline: Owl2Pipeline, parameters: GenerateParameters = GenerateParameters(), fit: ImageFit = .stretch,
        honorsOrientation: Bool = false
    ) {
        self.pipeline = pipeline
        self.parameters = parameters
        self.fit = fit
        self.honorsOrientation = honorsOrientation
        cache = pipeline.makeCache()
    }

    /// Answers the next question.
    ///
    /// - Parameters:
    ///   - prompt: The question, as plain text.
    ///   - images: Pictures that come with it.
    /// - Returns: The answer, without surrounding white space.
    /// - Throws: `Owl2Error` or `CancellationError`. A turn that ends before its first token is as if it had never been
    ///   asked; one that is cancelled later leaves the part of the answer that it gave.
    public func respond(to prompt: String, images: [Image] = []) async throws -> String {
        var answer = ""
        for try await piece in streamResponse(to: prompt, images: images).text { answer += piece }
        return answer.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Answers the next question piece by piece.
    ///
    /// - Parameters:
    ///   - prompt: The question, as plain text.
    ///   - images: Pictures that come with it.
    ///   - progressHandler: Sees how far encoding and prefill are.
    /// - Returns: The stream of the answer, whose work has begun.
    public nonisolated func streamResponse(
        to prompt: String, images: [Image] = [], progressHandler: Owl2Pipeline.ProgressHandler? = nil
    ) -> GenerationStream {
        GenerationStream { emit in
            try await self.takeTurn(UserInput(prompt: prompt, images: images), progressHandler, emit)
        }
    }

    /// Forgets the conversation.
    public func reset() {
        cache = pipeline.makeCache()
        tokens = []
        pendingCount = 0
    }

    func takeTurn(
        _ input: UserInput, _ progressHandler: Owl2Pipeline.ProgressHandler?, _ emit: (String) -> Void
    ) throws -> GenerationInfo {
        let turn = try prepareTurn(input)
        let sampler = try pipeline.makeSampler(parameters, promptTokens: tokens + turn.added)
        var timings = GenerationTimings(load: tokens.isEmpty ? pipeline.loadSeconds : nil)
        let images = try timed(&timings.image) { try pipeline.encode(turn.prompt, progressHandler) }
        let logits = try timed(&timings.prefill) {
            try pipeline.prefill(turn.prompt, images: images.rows, into: cache, progressHandler)
        }
        tokens += turn.added
        pendingCount = 0
        let sequence = AnswerSequence(
            pipeline, cache: cache, sampler: sampler, parameters: parameters, context: tokens)
        // whatever ends the answer, the conversation holds what was generated of it
        defer {
            tokens += sequence.answer.tokens
            pendingCount = sequence.lastTokenIsPending ? 1 : 0
        }
        try timed(&timings.decode) { try sequence.run(from: logits, emit) }
        return sequence.info(turn.prompt, images, timings, parameters)
    }

    /// The tokens that a turn adds, and the prompt that the cache lacks: the answer's last token if it is pending, the
    /// end token of the answer, and the turn's own.
    private func prepareTurn(_ input: UserInput) throws -> (added: [Int], prompt: PreparedPrompt) {
        let tokenizer = pipeline.tokenizer
        let (segments, images) = input.prompt(tokenizer)
        let isFirst = tokens.isEmpty
        let end: [PromptSegment] = isFirst ? [] : [.control(tokenizer.endOfSequenceID)]
        let added = tokenizer.encode(end + segments, addBeginningOfSequence: isFirst)
        let prompt = try pipeline.prepare(
            Array(tokens.suffix(pendingCount)) + added, images: images, fit: fit, honorsOrientation: honorsOrientation,
            behind: cache.count)
        return (added, prompt)
    }
}

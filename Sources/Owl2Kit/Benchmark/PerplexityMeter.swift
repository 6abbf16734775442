import Owl2Core
import Owl2Decoder
import Owl2Tensor
import Owl2Tokenizer

/// Measures what a change of the weights costs: how well a model foretells text and answers, and how far its probabilities
/// are from those of another one, as a rule the one that it was made from.
///
/// ```swift
/// let meter = try PerplexityMeter(quantized, reference: original)
/// let report = try await meter.measure(text: text)
/// print(report.likelihood.perplexity, report.comparison?.meanDivergence ?? 0)
/// ```
public struct PerplexityMeter: Sendable {
    private let model: Owl2Pipeline
    private let reference: Owl2Pipeline?

    /// A meter of a model.
    ///
    /// - Parameters:
    ///   - model: The model that is measured.
    ///   - reference: A model of the same vocabulary to compare with.
    /// - Throws: `Owl2Error` (`invalidInput`) when the vocabularies differ in size.
    public init(_ model: Owl2Pipeline, reference: Owl2Pipeline? = nil) throws {
        let size = model.configuration.decoder.vocabularySize
        if let other = reference?.configuration.decoder.vocabularySize, other != size {
            throw Owl2Error(
                .invalidInput, "reference: expected a vocabulary of \(size) tokens, found \(other)",
                subject: "reference")
        }
        self.model = model
        self.reference = reference
    }

    private var contextLength: Int { min(model.contextLength, reference?.contextLength ?? .max) }

    // MARK: Text

    /// Tokens of a window that are usual elsewhere, where the context has so many.
    public static let usualWindowLength = 512

    /// Foretells a text in windows, each behind a begin-of-sequence token and nothing of the window before it.
    ///
    /// - Parameters:
    ///   - text: Any text.
    ///   - windowLength: Rows of a window, at least 2; nil for 512, or the context if that is shorter.
    ///   - progressHandler: Sees how much is done, from 0 to 1.
    /// - Returns: Means over all tokens.
    /// - Throws: `Owl2Error` for a text without tokens or a window that the context cannot hold; `CancellationError`.
    public func measure(
        text: String, windowLength: Int? = nil, progressHandler: (@Sendable (Double) -> Void)? = nil
    ) async throws -> PerplexityReport {
        try await HeavyWork.run { try foretell(text, windowLength, progressHandler) }
    }

    private func foretell(
        _ text: String, _ windowLength: Int?, _ progressHandler: (@Sendable (Double) -> Void)?
    ) throws -> PerplexityReport {
        let window = windowLength ?? min(Self.usualWindowLength, contextLength)
        guard (2...max(2, contextLength)).contains(window) else {
            throw Owl2Error(
                .invalidInput, "window: expected 2 to \(contextLength) rows, found \(window)", subject: "window")
        }
        let tokens = model.tokenizer.encode(text)
        guard !tokens.isEmpty else {
            throw Owl2Error(.invalidInput, "text: expected at least one token, found none", subject: "text")
        }
        try requireSameTokens(tokens, text)
        var sums = LikelihoodSums(hasReference: reference != nil)
        for start in stride(from: 0, to: tokens.count, by: window - 1) {
            progressHandler?(Double(start) / Double(tokens.count))
            let part = Array(tokens[start..<min(start + window - 1, tokens.count)])
            let input = [model.tokenizer.beginningOfSequenceID] + part.dropLast()
            let found = try logits(model, input), expected = try reference.map { try logits($0, input) }
            try add(part, found, expected, &sums)
        }
        progressHandler?(1)
        return sums.report
    }

    private func logits(_ owl: Owl2Pipeline, _ tokens: [Int]) throws -> [Matrix] {
        let rows = owl.model.splice(tokens, imageMarkerID: -1, images: [])
        return [try owl.model.prefill(rows, into: owl.makeCache(), wanting: .all)]
    }

    // MARK: Answers about pictures

    /// Foretells the answers of questions: the tokens of each behind its question in the chat template, and the token that
    /// ends the answer.
    ///
    /// - Parameters:
    ///   - questions: Questions with their answers, at least one.
    ///   - progressHandler: Sees how much is done, from 0 to 1.
    /// - Returns: Means over the tokens of all answers.
    /// - Throws: `Owl2Error`, with the question's place, for a picture that cannot be read or a context that is too short;
    ///   `CancellationError`.
    public func measure(
        _ questions: [AnsweredQuestion], progressHandler: (@Sendable (Double) -> Void)? = nil
    ) async throws -> PerplexityReport {
        try await HeavyWork.run {
            guard !questions.isEmpty else {
                throw Owl2Error(.invalidInput, "pairs: expected at least one question, found none", subject: "pairs")
            }
            var sums = LikelihoodSums(hasReference: reference != nil)
            for (index, question) in questions.enumerated() {
                try Task.checkCancellation()
                progressHandler?(Double(index) / Double(questions.count))
                do {
                    try foretell(question, &sums)
                } catch let error as Owl2Error {
                    throw Owl2Error(
                        error.code, "\(question.place): \(error.message)", subject: error.subject,
                        underlyingError: error)
                }
            }
            progressHandler?(1)
            return sums.report
        }
    }

    private func foretell(_ question: AnsweredQuestion, _ sums: inout LikelihoodSums) throws {
        let answer = model.tokenizer.encode(question.answer) + [model.tokenizer.endOfSequenceID]
        try requireSameTokens(Array(answer.dropLast()), question.answer)
        let found = try logits(model, question, answer)
        let expected = try reference.map { try logits($0, question, answer) }
        try add(answer, found, expected, &sums)
    }

    /// The logits that foretell an answer: of the prompt's last row, and of the answer's rows but the last.
    private func logits(_ owl: Owl2Pipeline, _ question: AnsweredQuestion, _ answer: [Int]) throws -> [Matrix] {
        let prompt = try owl.prepare(UserInput(prompt: question.prompt, images: question.images))
        guard prompt.rowCount + answer.count - 1 <= owl.contextLength else {
            throw Owl2Error(
                .contextExceeded,
                "the question and its answer need \(prompt.rowCount + answer.count - 1) rows, the context has "
                    + "\(owl.contextLength)")
        }
        let cache = owl.makeCache()
        let first = try owl.prefill(prompt, images: owl.encode(prompt, nil).rows, into: cache, nil)
        guard answer.count > 1 else { return [first] }
        let rows = owl.model.splice(Array(answer.dropLast()), imageMarkerID: -1, images: [])
        return [first, try owl.model.prefill(rows, into: cache, wanting: .all)]
    }

    // MARK: Both

    /// Adds tokens and the rows of logits that foretell them.
    private func add(
        _ tokens: [Int], _ found: [Matrix], _ expected: [Matrix]?, _ sums: inout LikelihoodSums
    ) throws {
        let rows = Self.rows(found), others = expected.map(Self.rows)
        try withExtendedLifetime((found, expected)) {
            for (index, token) in tokens.enumerated() {
                try sums.add(token, rows[index], reference: others?[index])
            }
        }
    }

    private static func rows(_ parts: [Matrix]) -> [UnsafeBufferPointer<Float>] {
        parts.flatMap { part in
            (0..<part.rowCount).map { UnsafeBufferPointer(start: part.row($0), count: part.columnCount) }
        }
    }

    /// Two models can be compared only where they mean the same by a token.
    private func requireSameTokens(_ tokens: [Int], _ text: String) throws {
        guard let reference, reference.tokenizer.encode(text) != tokens else { return }
        throw Owl2Error(
            .invalidInput, "reference: its tokenizer gives other tokens for the same text", subject: "reference")
    }
}

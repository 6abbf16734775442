import Foundation

/// An answer of a batch.
public struct BatchAnswer: Sendable {
    /// The text, without surrounding white space.
    public var text: String
    /// How it came about.
    public var info: GenerationInfo
}

extension Owl2Pipeline {
    /// Answers many questions together: each step of decoding reads the weights once for all of them, and a question that
    /// waits takes the place of one that is answered.
    ///
    /// An answer is the one that its question gets alone, to the last bit of its log-probabilities (but for
    /// `ComputeBackend.openblas`). A question that fails does not stop the others.
    ///
    /// ```swift
    /// for try await event in owl.generate(batch: questions.map { BatchItem(UserInput(prompt: $0, images: [picture])) }) {
    ///     if case .text(let piece) = event.content { answers[event.index] += piece }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - items: Any number of questions, each with parameters of its own.
    ///   - maximumConcurrency: The most questions in work at once, from 1 to 1024; each has keys and values in memory.
    ///   - progressHandler: Sees how many are answered.
    /// - Returns: The stream of all answers, whose work has begun. It throws `Owl2Error` for a concurrency out of range.
    public func generate(
        batch items: [BatchItem], maximumConcurrency: Int = 8, progressHandler: ProgressHandler? = nil
    ) -> BatchStream {
        BatchStream(self, items, maximumConcurrency, progressHandler)
    }

    /// Answers many questions together, with the same parameters for all: see
    /// ``generate(batch:maximumConcurrency:progressHandler:)``.
    public func generate(
        batch inputs: [UserInput], parameters: GenerateParameters = GenerateParameters(), maximumConcurrency: Int = 8,
        progressHandler: ProgressHandler? = nil
    ) -> BatchStream {
        generate(
            batch: inputs.map { BatchItem($0, parameters: parameters) }, maximumConcurrency: maximumConcurrency,
            progressHandler: progressHandler)
    }

    /// Answers many questions together and waits for all answers: see
    /// ``generate(batch:maximumConcurrency:progressHandler:)``.
    ///
    /// - Parameters:
    ///   - items: Any number of questions, each with parameters of its own.
    ///   - maximumConcurrency: The most questions in work at once, from 1 to 1024.
    ///   - progressHandler: Sees how many are answered.
    /// - Returns: An answer or an error for each question, in their order.
    /// - Throws: `CancellationError`, or `Owl2Error` for a concurrency out of range.
    public func respond(
        to items: [BatchItem], maximumConcurrency: Int = 8, progressHandler: ProgressHandler? = nil
    ) async throws -> [Result<BatchAnswer, any Error>] {
        var texts = Array(repeating: "", count: items.count)
        var results = Array(repeating: Result<BatchAnswer, any Error>.failure(CancellationError()), count: items.count)
        let stream = generate(
            batch: items, maximumConcurrency: maximumConcurrency, progressHandler: progressHandler)
        for try await event in stream {
            switch event.content {
            case .text(let piece): texts[event.index] += piece
            case .info(let info):
                let text = texts[event.index].trimmingCharacters(in: .whitespacesAndNewlines)
                results[event.index] = .success(BatchAnswer(text: text, info: info))
            case .failure(let error): results[event.index] = .failure(error)
            }
        }
        return results
    }

    /// Answers many questions together, with the same parameters for all, and waits for all answers: see
    /// ``respond(to:maximumConcurrency:progressHandler:)``.
    public func respond(
        to inputs: [UserInput], parameters: GenerateParameters = GenerateParameters(), maximumConcurrency: Int = 8,
        progressHandler: ProgressHandler? = nil
    ) async throws -> [Result<BatchAnswer, any Error>] {
        try await respond(
            to: inputs.map { BatchItem($0, parameters: parameters) }, maximumConcurrency: maximumConcurrency,
            progressHandler: progressHandler)
    }
}

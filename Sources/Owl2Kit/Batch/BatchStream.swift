import Synchronization

/// One of many questions that are answered together.
public struct BatchItem: Sendable {
    /// What is asked.
    public var input: UserInput
    /// How its answer is generated.
    public var parameters: GenerateParameters

    /// A question with parameters of its own.
    ///
    /// - Parameters:
    ///   - input: What is asked.
    ///   - parameters: How its answer is generated.
    public init(_ input: UserInput, parameters: GenerateParameters = GenerateParameters()) {
        self.input = input
        self.parameters = parameters
    }
}

/// What a stream of a batch brings.
public struct BatchEvent: Sendable {
    /// What happened to a question.
    public enum Content: Sendable {
        /// The next piece of its answer.
        case text(String)
        /// The end of its answer, and how it came about.
        case info(GenerationInfo)
        /// Why it has no answer, or no whole one: an `Owl2Error` as a rule. The other questions go on.
        case failure(any Error)
    }

    /// Which question it is, by its place in the batch.
    public let index: Int
    /// What happened to it. `info` or `failure` is its last event.
    public let content: Content
}

/// The answers to a batch while they are generated. Events of different questions come in any order.
///
/// A stream can be iterated once. Dropping it, or cancelling the task that iterates it, stops the work within one step of
/// decoding; the iteration then throws `CancellationError`.
public struct BatchStream: AsyncSequence, Sendable {
    public typealias Element = BatchEvent

    private let events: AsyncThrowingStream<BatchEvent, any Error>

    /// Starts the work.
    init(
        _ pipeline: Owl2Pipeline, _ items: [BatchItem], _ maximumConcurrency: Int,
        _ progressHandler: Owl2Pipeline.ProgressHandler?
    ) {
        events = AsyncThrowingStream { continuation in
            do {
                let scheduler = try GenerationScheduler(pipeline, maximumConcurrency: maximumConcurrency)
                guard !items.isEmpty else { return continuation.finish() }
                let progress = BatchProgress(total: items.count, progressHandler)
                let ids = scheduler.submit(items.map { ($0.input, $0.parameters) }) { index, event in
                    continuation.yield(BatchEvent(index: index, content: BatchEvent.Content(event)))
                    if case .finished = event, progress.finishOne() { continuation.finish() }
                }
                continuation.onTermination = { _ in scheduler.cancel(ids) }
            } catch {
                continuation.finish(throwing: error)
            }
        }
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(events: events.makeAsyncIterator())
    }

    /// Steps through the events.
    public struct Iterator: AsyncIteratorProtocol {
        var events: AsyncThrowingStream<BatchEvent, any Error>.Iterator

        /// The next event, or nil behind the last one.
        public mutating func next() async throws -> BatchEvent? {
            if let event = try await events.next() { return event }
            try Task.checkCancellation()
            return nil
        }
    }
}

extension BatchEvent.Content {
    fileprivate init(_ event: GenerationScheduler.Event) {
        switch event {
        case .text(let text): self = .text(text)
        case .finished(.success(let info)): self = .info(info)
        case .finished(.failure(let error)): self = .failure(error)
        }
    }
}

/// Counts the questions of a batch that have ended.
private final class BatchProgress: Sendable {
    private let total: Int
    private let handler: Owl2Pipeline.ProgressHandler?
    private let finished = Mutex(0)

    init(total: Int, _ handler: Owl2Pipeline.ProgressHandler?) {
        self.total = total
        self.handler = handler
        report(0)
    }

    /// - Returns: Whether it was the last one.
    func finishOne() -> Bool {
        let count = finished.withLock { count in
            count += 1
            return count
        }
        report(count)
        return count == total
    }

    private func report(_ count: Int) {
        handler?(PipelineProgress(stage: .answering, fractionCompleted: Double(count) / Double(total)))
    }
}

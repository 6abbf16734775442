/// What a stream of an answer brings.
public enum GenerationEvent: Sendable {
    /// The next piece of the answer.
    case text(String)
    /// The end of the answer, and how it came about. Always the last event.
    case info(GenerationInfo)
}

/// An answer while it is generated.
///
/// A stream can be iterated once. It throws what generation throws. Dropping it, or cancelling the task that iterates it,
/// stops the work before the next token.
public struct GenerationStream: AsyncSequence, Sendable {
    public typealias Element = GenerationEvent

    private let events: AsyncThrowingStream<GenerationEvent, any Error>

    /// Starts the work in a task of its own.
    init(_ work: @escaping @Sendable (_ emit: @Sendable (String) -> Void) async throws -> GenerationInfo) {
        events = AsyncThrowingStream { continuation in
            let task = Task(executorPreference: HeavyWork.executor) {
                do {
                    let info = try await work { continuation.yield(.text($0)) }
                    continuation.yield(.info(info))
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// The pieces of the answer alone, without the last event.
    public var text: Text { Text(stream: self) }

    public func makeAsyncIterator() -> Iterator {
        Iterator(events: events.makeAsyncIterator())
    }

    /// Steps through the events.
    public struct Iterator: AsyncIteratorProtocol {
        var events: AsyncThrowingStream<GenerationEvent, any Error>.Iterator

        /// The next event, or nil behind the last one.
        public mutating func next() async throws -> GenerationEvent? {
            if let event = try await events.next() { return event }
            try Task.checkCancellation()
            return nil
        }
    }

    /// The pieces of an answer.
    public struct Text: AsyncSequence, Sendable {
        public typealias Element = String

        let stream: GenerationStream

        public func makeAsyncIterator() -> Iterator {
            Iterator(events: stream.makeAsyncIterator())
        }

        /// Steps through the pieces.
        public struct Iterator: AsyncIteratorProtocol {
            var events: GenerationStream.Iterator

            /// The next piece, or nil behind the last one.
            public mutating func next() async throws -> String? {
                while let event = try await events.next() {
                    if case .text(let piece) = event { return piece }
                }
                return nil
            }
        }
    }
}

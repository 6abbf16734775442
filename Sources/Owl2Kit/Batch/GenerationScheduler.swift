import Owl2Core
import Owl2Tensor
import Synchronization

/// Decodes many sequences together, so that the weights are read once per step for all of them, and takes requests at any
/// time.
///
/// A bounded number of requests have a slot. A step of the loop gives free slots to waiting requests, encodes a few of
/// their pictures, and runs one pass of the decoder, in which every answer that grows has a row and prompts have what is
/// left of a bounded number of rows. A sequence gives exactly what it gives alone.
package final class GenerationScheduler: Sendable {
    /// What becomes of a request. The last event is its result.
    package enum Event: Sendable {
        case text(String)
        case finished(Result<GenerationInfo, any Error>)
    }

    struct Request: Sendable {
        let id: Int
        let input: UserInput
        let parameters: GenerateParameters
        let handler: @Sendable (Event) -> Void
    }

    private struct State {
        var waiting: ArraySlice<Request> = []
        var lastID = 0
        /// Requests that have a slot, and whether they were cancelled.
        var running: [Int: Bool] = [:]
        var loop: (id: Int, task: Task<Void, Never>)?
        var lastLoopID = 0
    }

    /// The numbers of sequences at once that make sense.
    package static let supportedConcurrency = 1...1024

    let pipeline: Owl2Pipeline
    private let maximumConcurrency: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - pipeline: The model.
    ///   - maximumConcurrency: The most sequences at once, each of which has a KV cache of its own.
    /// - Throws: `Owl2Error` (`invalidInput`) for a number of sequences out of range.
    package init(_ pipeline: Owl2Pipeline, maximumConcurrency: Int) throws {
        guard Self.supportedConcurrency.contains(maximumConcurrency) else {
            throw Owl2Error(
                .invalidInput,
                "sequences at once: expected \(Self.supportedConcurrency.lowerBound) to "
                    + "\(Self.supportedConcurrency.upperBound), found \(maximumConcurrency)",
                subject: "maximumConcurrency")
        }
        self.pipeline = pipeline
        self.maximumConcurrency = maximumConcurrency
    }

    /// Adds a request behind those that wait.
    ///
    /// - Parameters:
    ///   - input: What is asked.
    ///   - parameters: How to generate.
    ///   - handler: Sees the events, on the thread that computes, which it must not hold up.
    /// - Returns: What to cancel the request by.
    @discardableResult
    package func submit(
        _ input: UserInput, parameters: GenerateParameters = GenerateParameters(),
        handler: @escaping @Sendable (Event) -> Void
    ) -> Int {
        submit([(input, parameters)]) { _, event in handler(event) }.lowerBound
    }

    /// Adds requests at once, in their order.
    ///
    /// - Returns: What to cancel them by.
    func submit(
        _ inputs: [(UserInput, GenerateParameters)], handler: @escaping @Sendable (_ index: Int, Event) -> Void
    ) -> Range<Int> {
        state.withLock { state in
            let first = state.lastID + 1
            for (index, (input, parameters)) in inputs.enumerated() {
                state.lastID += 1
                state.waiting.append(
                    Request(id: state.lastID, input: input, parameters: parameters) { handler(index, $0) })
            }
            if state.loop == nil, !state.waiting.isEmpty { startLoop(&state) }
            return first..<state.lastID + 1
        }
    }

    /// Cancels requests, which then fail with `CancellationError` if they have not ended: those that wait at once, the
    /// others before their next step, or within it where nobody else is being served.
    package func cancel(_ ids: Range<Int>) {
        let dropped = state.withLock { state in
            let dropped = state.waiting.filter { ids.contains($0.id) }
            state.waiting.removeAll { ids.contains($0.id) }
            for id in state.running.keys where ids.contains(id) { state.running[id] = true }
            if let loop = state.loop, !state.running.isEmpty, state.running.values.allSatisfy({ $0 }) {
                // this loop winds down; whoever waits is served by another
                loop.task.cancel()
                state.loop = nil
                state.running = [:]
                if !state.waiting.isEmpty { startLoop(&state) }
            }
            return dropped
        }
        for request in dropped { request.handler(.finished(.failure(CancellationError()))) }
    }

    private func startLoop(_ state: inout State) {
        state.lastLoopID += 1
        let id = state.lastLoopID
        state.loop = (id, Task(executorPreference: HeavyWork.executor) { self.run(id) })
    }

    // MARK: The loop

    private func run(_ loopID: Int) {
        var sequences: [BatchSequence] = []
        while serveSlots(&sequences, loopID) {
            do {
                try encodePictures(&sequences)
                try runPasses(&sequences)
            } catch {
                // the loop was cancelled, because everyone in it was
                for sequence in sequences where !sequence.hasEnded { end(sequence, .failure(error)) }
                return
            }
        }
    }

    /// Ends what was cancelled and gives free slots to those that wait.
    ///
    /// - Returns: Whether there is anything to do.
    private func serveSlots(_ sequences: inout [BatchSequence], _ loopID: Int) -> Bool {
        while true {
            let freeCount = maximumConcurrency - sequences.count
            let (isCurrent, cancelled, admitted) = takeRequests(loopID, freeCount: freeCount)
            guard isCurrent else {
                for sequence in sequences { end(sequence, .failure(CancellationError())) }
                return false
            }
            for sequence in sequences where cancelled.contains(sequence.request.id) {
                end(sequence, .failure(CancellationError()))
            }
            sequences.removeAll(where: \.hasEnded)
            for request in admitted {
                do {
                    sequences.append(try BatchSequence(request, pipeline))
                } catch {
                    end(request, .failure(error))
                }
            }
            if !sequences.isEmpty { return true }
            // nothing but refused requests: look again, or end if nobody waits
            if admitted.isEmpty && retire(loopID) { return false }
        }
    }

    private func takeRequests(
        _ loopID: Int, freeCount: Int
    ) -> (isCurrent: Bool, cancelled: Set<Int>, admitted: [Request]) {
        state.withLock { state in
            guard state.loop?.id == loopID else { return (false, [], []) }
            let cancelled = Set(state.running.filter(\.value).keys)
            let admitted = Array(state.waiting.prefix(freeCount + cancelled.count))
            state.waiting.removeFirst(admitted.count)
            for request in admitted { state.running[request.id] = false }
            return (true, cancelled, admitted)
        }
    }

    /// Ends the loop if nobody waits.
    private func retire(_ loopID: Int) -> Bool {
        state.withLock { state in
            guard state.loop?.id == loopID else { return true }
            guard state.waiting.isEmpty else { return false }
            state.loop = nil
            return true
        }
    }

    /// Hands out a sequence's result.
    func end(_ sequence: BatchSequence, _ result: Result<GenerationInfo, any Error>) {
        sequence.hasEnded = true
        end(sequence.request, result)
    }

    private func end(_ request: Request, _ result: Result<GenerationInfo, any Error>) {
        state.withLock { $0.running[request.id] = nil }
        request.handler(.finished(result))
    }
}

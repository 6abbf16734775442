import Foundation
import Synchronization
import Testing

@testable import Owl2Kit

/// What a server needs of the scheduler: requests that come and go while others run.
@Suite struct SchedulerTests {
    private typealias Outcome = Result<GenerationInfo, any Error>

    private func scheduler(_ concurrency: Int) async throws -> GenerationScheduler {
        try GenerationScheduler(try await TestModels.bundled.value, maximumConcurrency: concurrency)
    }

    private let question = UserInput(prompt: "Describe the image.", images: [TestModels.redCircle])

    private func endless(_ count: Int = 400) -> GenerateParameters {
        GenerateParameters(maxNewTokens: count, minNewTokens: count)
    }

    private func result(
        _ scheduler: GenerationScheduler, _ parameters: GenerateParameters = GenerateParameters()
    ) async -> Outcome {
        await withCheckedContinuation { continuation in
            scheduler.submit(question, parameters: parameters) { event in
                if case .finished(let result) = event { continuation.resume(returning: result) }
            }
        }
    }

    @Test("Requests that come while others run, and after all have ended", .timeLimit(.minutes(1)))
    func lateRequests() async throws {
        let scheduler = try await scheduler(3)
        let alone = try await TestModels.bundled.value.whole(question, GenerateParameters()).answer.tokens
        async let long = result(scheduler, endless(120))
        for _ in 0..<5 { #expect(try await result(scheduler).get().tokens == alone) }
        #expect(try await long.get().tokens.count == 120)
        // the loop has ended by now, or is about to: another one begins
        for _ in 0..<20 { #expect(try await result(scheduler, endless(2)).get().tokens.count == 2) }
    }

    @Test("Cancelling one request leaves the others alone", .timeLimit(.minutes(1)))
    func cancelOne() async throws {
        let scheduler = try await scheduler(2)
        let outcomes = Collected<(name: String, outcome: Outcome)>()
        func submit(_ name: String, _ count: Int) -> Int {
            scheduler.submit(question, parameters: endless(count)) { event in
                if case .finished(let outcome) = event { outcomes.append((name, outcome)) }
            }
        }
        let first = submit("cancelled", 400)
        _ = submit("whole", 60)
        let third = submit("waiting", 60)
        _ = submit("last", 3)
        scheduler.cancel(third..<third + 1)
        scheduler.cancel(first..<first + 1)
        scheduler.cancel(first..<first + 1)
        while outcomes.values.count < 4 { try await Task.sleep(for: .milliseconds(1)) }
        for (name, outcome) in outcomes.values {
            switch name {
            case "whole": #expect(try outcome.get().tokens.count == 60)
            case "last": #expect(try outcome.get().tokens.count == 3)
            default: #expect(throws: CancellationError.self) { try outcome.get() }
            }
        }
    }

    @Test("After all are cancelled, new requests are served", .timeLimit(.minutes(1)))
    func cancelAll() async throws {
        let scheduler = try await scheduler(2)
        let ended = Collected<Bool>()
        for _ in 0..<10 {
            let ids = scheduler.submit(Array(repeating: (question, endless()), count: 4)) { _, event in
                guard case .finished(let outcome) = event else { return }
                #expect(throws: CancellationError.self) { try outcome.get() }
                ended.append(true)
            }
            async let next = result(scheduler, endless(2))
            scheduler.cancel(ids)
            #expect(try await next.get().tokens.count == 2)
        }
        while ended.values.count < 40 { try await Task.sleep(for: .milliseconds(1)) }
    }
}

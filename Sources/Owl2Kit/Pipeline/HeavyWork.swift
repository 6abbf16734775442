import Dispatch

/// Runs a task's long synchronous work on threads of its own, so that the pool of Swift's concurrency stays free.
///
/// The work stays in the caller's task: `Task.checkCancellation()` in it sees the caller's cancellation.
final class HeavyWork: TaskExecutor {
    static let executor = HeavyWork()

    private let queue = DispatchQueue(label: "Owl2Kit", attributes: .concurrent)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Runs the work and gives its result.
    static func run<Result: Sendable>(_ work: @Sendable () throws -> Result) async throws -> Result {
        try await withTaskExecutorPreference(executor) { try work() }
    }
}

/// Seconds since a moment of the monotonic clock.
func seconds(since start: ContinuousClock.Instant) -> Double {
    (ContinuousClock.now - start) / .seconds(1)
}

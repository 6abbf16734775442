import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Threads that share the iterations of a loop and wait for the next one.
///
/// Between two loops of a forward pass a worker spins for a moment, which is cheaper than being woken; then it sleeps.
/// Loops of several callers run one after another.
package final class ThreadPool: Sendable {
    /// Threads that work on a loop, the caller's included.
    package let threadCount: Int
    private let loop: SharedLoop
    private let workers: [WorkerThread]

    /// Starts the workers.
    ///
    /// - Parameter threadCount: Threads to use, at least one.
    package init(threadCount: Int) {
        let loop = SharedLoop()
        workers = (1..<max(1, threadCount)).compactMap { _ in WorkerThread(loop) }
        loop.workerCount = workers.count
        self.loop = loop
        self.threadCount = workers.count + 1
    }

    deinit {
        loop.stop()
        for worker in workers { worker.join() }
    }

    /// Calls `body` once for every number below `count`, on all threads, and returns when all calls have returned.
    ///
    /// - Parameters:
    ///   - count: The number of calls.
    ///   - body: The work, which must not call the pool again.
    package func forEach(_ count: Int, _ body: (Int) -> Void) {
        guard workers.isEmpty == false, count > 1 else {
            for index in 0..<max(0, count) { body(index) }
            return
        }
        loop.run(count, body)
    }
}

/// The loop that the threads of a pool work on, and how they learn of it.
private final class SharedLoop: @unchecked Sendable {
    // Unchecked: `body`, `count` and `workerCount` are written only before `generation` is raised, by the caller that
    // holds `turn`, and not again until every worker has raised `finished`.
    private static let spins = 2_000
    private let generation = Atomic<Int>(0)
    private let next = Atomic<Int>(0)
    private let finished = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let turn = PlatformLock()
    private let gate = PlatformLock()
    private var body: (@Sendable (Int) -> Void)?
    private var count = 0
    var workerCount = 0

    func run(_ count: Int, _ body: (Int) -> Void) {
        withoutActuallyEscaping(body) { escaping in
            let shared = UncheckedBody(call: escaping)
            turn.lock()
            self.body = { shared.call($0) }
            self.count = count
            next.store(0, ordering: .relaxed)
            finished.store(0, ordering: .relaxed)
            announce()
            takeIterations()
            var spin = 0
            while finished.load(ordering: .acquiring) < workerCount {
                spin += 1
                if spin > Self.spins { sched_yield() }
            }
            self.body = nil
            turn.unlock()
        }
    }

    func stop() {
        stopping.store(true, ordering: .sequentiallyConsistent)
        announce()
    }

    /// What a worker does until the pool ends.
    func work() {
        var seen = 0
        while true {
            seen = awaitGeneration(after: seen)
            if stopping.load(ordering: .acquiring) { return }
            takeIterations()
            finished.add(1, ordering: .releasing)
        }
    }

    private func announce() {
        generation.add(1, ordering: .sequentiallyConsistent)
        gate.lock()
        gate.wakeAll()
        gate.unlock()
    }

    private func takeIterations() {
        guard let body else { return }
        while true {
            let index = next.add(1, ordering: .relaxed).oldValue
            guard index < count else { return }
            body(index)
        }
    }

    /// Waits until the generation is another than `seen`: spinning first, then asleep.
    private func awaitGeneration(after seen: Int) -> Int {
        for _ in 0..<Self.spins {
            let now = generation.load(ordering: .acquiring)
            if now != seen { return now }
        }
        gate.lock()
        defer { gate.unlock() }
        while generation.load(ordering: .sequentiallyConsistent) == seen { gate.wait() }
        return generation.load(ordering: .acquiring)
    }
}

/// A thread that works on a loop until it ends.
private struct WorkerThread: @unchecked Sendable {
    // Unchecked: a thread's handle is a constant.
    private let handle: pthread_t

    /// Starts the thread, or gives nil where the system refuses another one.
    init?(_ loop: SharedLoop) {
        let argument = Unmanaged.passRetained(loop)
        #if canImport(Darwin)
            var started: pthread_t?
            let status = pthread_create(&started, nil, { runWorker($0) }, argument.toOpaque())
        #else
            var thread = pthread_t()
            let status = pthread_create(&thread, nil, { $0.flatMap(runWorker) }, argument.toOpaque())
            let started: pthread_t? = thread
        #endif
        guard status == 0, let started else {
            argument.release()
            return nil
        }
        handle = started
    }

    func join() {
        pthread_join(handle, nil)
    }
}

private func runWorker(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    Unmanaged<SharedLoop>.fromOpaque(argument).takeRetainedValue().work()
    return nil
}

private struct UncheckedBody: @unchecked Sendable {
    // Unchecked: iterations are independent by contract, and the call ends before the loop returns.
    let call: (Int) -> Void
}

/// A mutex and a condition on which threads wait.
private final class PlatformLock: @unchecked Sendable {
    // Unchecked: the pthread objects synchronise themselves and stay at one address.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func lock() { pthread_mutex_lock(mutex) }
    func unlock() { pthread_mutex_unlock(mutex) }
    func wait() { pthread_cond_wait(condition, mutex) }
    func wakeAll() { pthread_cond_broadcast(condition) }
}

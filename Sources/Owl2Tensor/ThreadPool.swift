import COwl2Kernels
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
        let loop = SharedLoop(threadCount: max(1, threadCount))
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
    // Unchecked: `body` and `workerCount` are written only before `generation` is raised, by the caller that
    // holds `turn`, and not again until every worker has raised `finished`.
    /// Pauses before a waiting thread gives its core away: some 50 microseconds, which is longer than the small operations
    /// between two products and as long as it takes to wake a thread. Where the process has more threads at work than
    /// there are cores, another one needs the core sooner.
    private static let longWait = 4_000, shortWait = 50
    private static let threadsAtWork = Atomic<Int>(0)
    private let generation = Atomic<Int>(0)
    /// One share for each thread: the first is the caller's, the others are the workers' in the order in which they join.
    private let shares: [Share]
    private let joined = Atomic<Int>(0)
    private let coreCount = Compute.coreCount
    private let finished = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let turn = PlatformLock()
    private let gate = PlatformLock()
    private var body: (@Sendable (Int) -> Void)?
    var workerCount = 0

    init(threadCount: Int) {
        shares = (0..<threadCount).map { _ in Share() }
    }

    func run(_ count: Int, _ body: (Int) -> Void) {
        withoutActuallyEscaping(body) { escaping in
            let shared = UncheckedBody(call: escaping)
            turn.lock()
            self.body = { shared.call($0) }
            for (index, share) in shares.enumerated() {
                share.reset(to: index * count / shares.count..<(index + 1) * count / shares.count)
            }
            finished.store(0, ordering: .relaxed)
            Self.threadsAtWork.add(shares.count, ordering: .relaxed)
            announce()
            takeIterations(beginningWith: 0)
            var spin = 0
            while finished.load(ordering: .acquiring) < workerCount {
                spin += 1
                if spin > pauses { sched_yield() } else { owl2_pause() }
            }
            Self.threadsAtWork.subtract(shares.count, ordering: .relaxed)
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
        let own = joined.add(1, ordering: .relaxed).newValue
        var seen = 0
        while true {
            seen = awaitGeneration(after: seen)
            if stopping.load(ordering: .acquiring) { return }
            takeIterations(beginningWith: own)
            finished.add(1, ordering: .releasing)
        }
    }

    private func announce() {
        generation.add(1, ordering: .sequentiallyConsistent)
        gate.lock()
        gate.wakeAll()
        gate.unlock()
    }

    /// Takes the iterations of a thread's own share, then what the others have left.
    private func takeIterations(beginningWith own: Int) {
        guard let body else { return }
        for offset in shares.indices {
            let share = shares[(own + offset) % shares.count]
            while let index = share.next() { body(index) }
        }
    }

    /// How long a thread waits before it gives its core away.
    private var pauses: Int {
        let threads = max(shares.count, Self.threadsAtWork.load(ordering: .relaxed))
        return threads > coreCount ? Self.shortWait : Self.longWait
    }

    /// Waits until the generation is another than `seen`: spinning first, then asleep.
    private func awaitGeneration(after seen: Int) -> Int {
        var spin = 0
        while spin < pauses {
            let now = generation.load(ordering: .acquiring)
            if now != seen { return now }
            owl2_pause()
            spin += 1
        }
        gate.lock()
        defer { gate.unlock() }
        while generation.load(ordering: .sequentiallyConsistent) == seen { gate.wait() }
        return generation.load(ordering: .acquiring)
    }
}

/// The iterations that one thread takes first. They are neighbours, so that it reads its weights as one stream.
private final class Share: @unchecked Sendable {
    // Unchecked: `end` is written only between two loops.
    private let upcoming = Atomic<Int>(0)
    private var end = 0
    // Keeps the counters of two threads out of one cache line.
    private let padding: (Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0)

    func reset(to iterations: Range<Int>) {
        upcoming.store(iterations.lowerBound, ordering: .relaxed)
        end = iterations.upperBound
    }

    func next() -> Int? {
        let index = upcoming.add(1, ordering: .relaxed).oldValue
        return index < end ? index : nil
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

import COwl2Kernels
import Owl2Core
import Owl2Tensor

/// What a machine can do at most with a number of threads, measured in loops that do nothing else.
public struct MachineLimits: Sendable, Equatable {
    /// Bytes read from memory, in 10^9 a second.
    public let readGigabytesPerSecond: Double
    /// Multiplications and additions of bytes as integers, in 10^9 a second.
    public let int8GigaoperationsPerSecond: Double
    /// Multiplications and additions of Float32, in 10^9 a second.
    public let float32GigaoperationsPerSecond: Double

    /// Measures a machine, in a few seconds.
    ///
    /// The best stretch of time counts for multiplications: a limit is what nothing goes beyond, and what else runs on the
    /// machine says nothing about it. Memory is shared with neighbours that one does not see, and its bandwidth may change
    /// from one second to the next: there it is the median.
    ///
    /// - Parameter compute: The threads, and the instruction set.
    /// - Throws: `Owl2Error` when there is no memory to read; `CancellationError`.
    public static func measure(with compute: Compute) throws -> MachineLimits {
        let meter = try ReadMeter(compute), peaks = try Peaks(compute)
        for _ in 0..<20 { _ = meter.measure() }
        return MachineLimits(peaks, meter)
    }

    /// The median of what a meter has measured, beside the peaks.
    init(_ peaks: Peaks, _ meter: ReadMeter) {
        self.init(
            readGigabytesPerSecond: meter.median / 1e9, int8GigaoperationsPerSecond: peaks.int8 / 1e9,
            float32GigaoperationsPerSecond: peaks.float32 / 1e9)
    }

    init(
        readGigabytesPerSecond: Double, int8GigaoperationsPerSecond: Double, float32GigaoperationsPerSecond: Double
    ) {
        self.readGigabytesPerSecond = readGigabytesPerSecond
        self.int8GigaoperationsPerSecond = int8GigaoperationsPerSecond
        self.float32GigaoperationsPerSecond = float32GigaoperationsPerSecond
    }

    static func loops(of compute: Compute) throws -> owl2_limits {
        guard let loops = owl2_limits_for(owl2_tier(compute.instructionSet.rawValue))?.pointee else {
            throw Owl2Error(.invalidInput, "this machine has no \(compute.instructionSet)", subject: "instruction set")
        }
        return loops
    }
}

/// Multiplications and additions a second, of bytes and of Float32.
struct Peaks {
    let int8, float32: Double

    /// Measures both, in some two seconds.
    init(_ compute: Compute) throws {
        let loops = try MachineLimits.loops(of: compute)
        int8 = try Self.peak(compute, loops.int8)
        float32 = try Self.peak(compute, loops.float32)
    }

    private init(int8: Double, float32: Double) {
        self.int8 = int8
        self.float32 = float32
    }

    /// The higher of two measurements of the same machine, which may have had other things to do in one of them.
    func joined(_ other: Peaks) -> Peaks {
        Peaks(int8: max(int8, other.int8), float32: max(float32, other.float32))
    }

    /// Seconds of a measurement, of its tasks, and of the stretch that counts.
    private static let duration = 1.0, taskDuration = 0.001, stretch = 0.12

    /// Operations a second on all threads.
    private static func peak(_ compute: Compute, _ loop: @escaping @convention(c) (Int) -> Double) throws -> Double {
        var rounds = 1 << 10, elapsed = 0.0
        while elapsed < taskDuration {
            rounds *= 2
            elapsed = 0
            timed(&elapsed) { _ = loop(rounds) }
        }
        let perThread = Int(duration / elapsed)
        return try bestRate(
            compute, taskCount: max(8, perThread * compute.threadCount), amountPerTask: loop(1) * Double(rounds)
        ) { _ in _ = loop(rounds) }
    }

    /// The amount a second in the best stretch of many short tasks.
    private static func bestRate(
        _ compute: Compute, taskCount: Int, amountPerTask: Double, _ work: (Int) -> Void
    ) throws -> Double {
        try Task.checkCancellation()
        let start = ContinuousClock.now
        return withUnsafeTemporaryAllocation(of: Double.self, capacity: taskCount) { ends in
            compute.pool.forEach(taskCount) { task in
                work(task)
                ends[task] = seconds(since: start)
            }
            let ends = ends.sorted(), all = ends[taskCount - 1]
            let count = min(taskCount - 1, max(1, Int(Double(taskCount) * stretch / all)))
            let rates = (count..<taskCount).map { amountPerTask * Double(count) / (ends[$0] - ends[$0 - count]) }
            return rates.max() ?? amountPerTask * Double(taskCount) / all
        }
    }
}

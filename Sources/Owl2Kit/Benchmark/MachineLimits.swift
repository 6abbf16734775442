import COwl2Kernels
import Owl2Core
import Owl2Tensor

/// What a machine can do at most with a number of threads, measured in loops that do nothing else.
public struct MachineLimits: Sendable, Equatable {
    /// Bytes read in order from memory, in 10^9 a second.
    public let readGigabytesPerSecond: Double
    /// Multiplications and additions of bytes as integers, in 10^9 a second.
    public let int8GigaoperationsPerSecond: Double
    /// Multiplications and additions of Float32, in 10^9 a second.
    public let float32GigaoperationsPerSecond: Double

    /// Measures a machine, in a few seconds. The best of several runs counts: a limit is what nothing goes beyond.
    ///
    /// - Parameter compute: The threads, and the instruction set.
    /// - Throws: `Owl2Error` when there is no memory to read; `CancellationError`.
    public static func measure(with compute: Compute) throws -> MachineLimits {
        guard let loops = owl2_limits_for(owl2_tier(compute.instructionSet.rawValue))?.pointee else {
            throw Owl2Error(.invalidInput, "this machine has no \(compute.instructionSet)", subject: "instruction set")
        }
        let int8 = try peak(compute, loops.int8), float32 = try peak(compute, loops.float32)
        return MachineLimits(
            readGigabytesPerSecond: try readRate(compute, loops.read) / 1e9, int8GigaoperationsPerSecond: int8 / 1e9,
            float32GigaoperationsPerSecond: float32 / 1e9)
    }

    private static let runs = 7
    /// A run of this length is not disturbed by a thread that wakes up late.
    private static let secondsPerRun = 0.08

    /// Operations a second on all threads.
    private static func peak(_ compute: Compute, _ loop: @escaping @convention(c) (Int) -> Double) throws -> Double {
        let threads = compute.threadCount
        func run(_ rounds: Int) -> Double {
            var elapsed = 0.0
            timed(&elapsed) { compute.pool.forEach(threads) { _ in _ = loop(rounds) } }
            return elapsed
        }
        var rounds = 1 << 14
        while run(rounds) < secondsPerRun / 4 {
            try Task.checkCancellation()
            rounds *= 2
        }
        let operations = loop(1) * Double(rounds * 4) * Double(threads)
        let rates = try (0..<runs).map { _ in
            try Task.checkCancellation()
            return operations / run(rounds * 4)
        }
        return rates.max() ?? 0
    }

    /// A buffer far larger than a cache, unless the machine is small.
    private static var bufferByteCount: Int { max(1 << 24, min(1 << 30, Machine.memoryByteCount / 16)) }
    private static let bytesPerTask = 1 << 22

    /// Bytes a second on all threads.
    private static func readRate(
        _ compute: Compute, _ loop: @escaping @convention(c) (UnsafeRawPointer?, Int) -> UInt64
    ) throws -> Double {
        let tasks = bufferByteCount / bytesPerTask, byteCount = tasks * bytesPerTask
        let buffer = try ByteRegion(name: "limits", pageByteCount: byteCount) { bytes in
            compute.pool.forEach(tasks) { task in
                let part = bytes[task * bytesPerTask..<(task + 1) * bytesPerTask]
                UnsafeMutableRawBufferPointer(rebasing: part).initializeMemory(as: UInt8.self, repeating: 1)
            }
        }
        let rates = try (0..<runs).map { _ in
            try Task.checkCancellation()
            var elapsed = 0.0
            timed(&elapsed) {
                compute.pool.forEach(tasks) { task in
                    _ = loop(buffer.bytes.baseAddress.map { $0 + task * bytesPerTask }, bytesPerTask)
                }
            }
            return Double(byteCount) / elapsed
        }
        return withExtendedLifetime(buffer) { rates.max() ?? 0 }
    }
}

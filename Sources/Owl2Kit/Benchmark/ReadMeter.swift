import COwl2Kernels
import Owl2Core
import Owl2Tensor

/// Measures how fast memory can be read, between and beside other measurements.
final class ReadMeter {
    /// Bytes of the buffer that is read, which stays in memory.
    let byteCount: Int
    private let compute: Compute
    private let read: @convention(c) (UnsafeRawPointer?, Int) -> UInt64
    private let buffer: ByteRegion
    private var rates: [Double] = []

    /// How often the buffer is read in a measurement.
    private let passes: Int

    private static let bytesPerTask = 1 << 20

    /// Fills a buffer larger than a server's caches of hundreds of megabytes, unless the machine is small, and measures once.
    init(_ compute: Compute) throws {
        let parts = max(16, min(1024, Machine.memoryByteCount / 24 / Self.bytesPerTask))
        byteCount = parts * Self.bytesPerTask
        passes = 1024 / parts
        buffer = try ByteRegion(name: "limits", pageByteCount: byteCount) { bytes in
            compute.pool.forEach(parts) { part in
                let range = part * Self.bytesPerTask..<(part + 1) * Self.bytesPerTask
                UnsafeMutableRawBufferPointer(rebasing: bytes[range]).initializeMemory(as: UInt8.self, repeating: 1)
            }
        }
        read = try MachineLimits.loops(of: compute).read
        self.compute = compute
        _ = measure()
    }

    /// Bytes a second on all threads at this moment, measured in some 40 milliseconds.
    func measure() -> Double {
        var elapsed = 0.0
        for _ in 0..<passes {
            timed(&elapsed) {
                compute.pool.forEach(byteCount / Self.bytesPerTask) { part in
                    _ = read(buffer.bytes.baseAddress.map { $0 + part * Self.bytesPerTask }, Self.bytesPerTask)
                }
            }
        }
        rates.append(Double(byteCount * passes) / elapsed)
        return rates[rates.count - 1]
    }

    /// The median of all that was measured.
    var median: Double { BenchmarkResult.Spread(rates).median }
}

/// Seconds of a piece of work, again and again, and the bandwidth that memory had at the time.
struct Timings {
    private(set) var seconds: [Double] = []
    private var rates: [Double] = []

    var spread: BenchmarkResult.Spread { BenchmarkResult.Spread(seconds) }

    /// Runs the work between two looks at the memory.
    mutating func add<Result>(_ meter: ReadMeter, _ work: () throws -> Result) rethrows -> Result {
        let before = meter.measure()
        var elapsed = 0.0
        let result = try timed(&elapsed, work)
        seconds.append(elapsed)
        rates.append((before + meter.measure()) / 2)
        return result
    }

    /// The share of the bandwidth that reading some bytes in each repetition took.
    func shareOfReading(_ byteCount: Double) -> Double {
        BenchmarkResult.Spread(zip(seconds, rates).map { byteCount / ($0 * $1) }).median
    }
}

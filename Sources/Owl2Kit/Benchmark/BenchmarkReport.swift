import Owl2Tensor

/// What a benchmark measured.
public struct BenchmarkReport: Sendable {
    /// The machine it ran on.
    public struct MachineDescription: Sendable {
        /// The processor's name.
        public let cpu: String
        /// The instruction set that computed.
        public let instructionSet: InstructionSet
        /// Threads that computed.
        public let threadCount: Int
    }

    /// The machine.
    public let machine: MachineDescription
    /// What it can do at most.
    public let limits: MachineLimits
    /// The measurements, in the order in which they were made.
    public let results: [BenchmarkResult]
    /// The most memory in use at once, mapped weights included.
    public let peakResidentByteCount: Int
}

/// One measured piece of work.
public struct BenchmarkResult: Sendable {
    /// The pieces of an answer's work.
    public enum Work: String, Sendable, CaseIterable {
        /// Opening a model.
        case load
        /// Pictures to the decoder's rows.
        case image
        /// A prompt's rows through the decoder.
        case prefill
        /// Tokens one by one.
        case decode
    }

    /// The limit that a piece of work cannot go beyond.
    public enum Bound: String, Sendable {
        /// Reading from memory.
        case read
        /// Integer multiplication and addition.
        case int8
        /// Float32 multiplication and addition.
        case float32
    }

    /// The numbers of all repetitions.
    public struct Spread: Sendable, Equatable {
        /// The one in the middle.
        public let median: Double
        /// The lowest.
        public let low: Double
        /// The highest.
        public let high: Double

        /// The spread of at least one number.
        init(_ values: [Double]) {
            let sorted = values.sorted(), middle = sorted.count / 2
            median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
            low = sorted[0]
            high = sorted[sorted.count - 1]
        }
    }

    /// The work.
    public let work: Work
    /// The type of the model's weights.
    public let type: String
    /// What multiplied matrices.
    public let backend: ComputeBackend
    /// Models, pictures, rows or sequences.
    public let size: Int
    /// How fast it was.
    public let spread: Spread
    /// The unit of the spread: `s` or `tokens/s`.
    public let unit: String
    /// What limits the work.
    public let bound: Bound
    /// The share of the limit that the median reached.
    public let share: Double
}

extension BenchmarkReport.MachineDescription {
    init(_ compute: Compute) {
        self.init(
            cpu: Machine.processorName, instructionSet: compute.instructionSet, threadCount: compute.threadCount)
    }
}

extension MachineLimits {
    /// Bytes or operations a second.
    func rate(_ bound: BenchmarkResult.Bound) -> Double {
        switch bound {
        case .read: readGigabytesPerSecond * 1e9
        case .int8: int8GigaoperationsPerSecond * 1e9
        case .float32: float32GigaoperationsPerSecond * 1e9
        }
    }
}

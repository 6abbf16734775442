import Owl2Checkpoint
import Owl2Core
import Owl2Tensor

/// Measures how fast models are here, and which share of the machine's limits that is.
///
/// ```swift
/// var benchmark = Benchmark(.synthetic(.published, [.q4_0, .q8_0]))
/// benchmark.plan.promptTokenCounts = [512]
/// for result in try await benchmark.run().results { print(result.work, result.spread.median, result.share) }
/// ```
public struct Benchmark: Sendable {
    /// What is measured.
    public enum Subject: Sendable {
        /// A model's files.
        case model(ModelFiles)
        /// Random weights of a shape, in each of several types, one after the other.
        case synthetic(SyntheticShape, [WeightType])
    }

    /// Sees what is going on, in words.
    public typealias ProgressHandler = @Sendable (String) -> Void

    /// What is measured.
    public var subject: Subject
    /// What multiplies matrices, one after the other.
    public var backends: [ComputeBackend] = [.own]
    /// Threads, or nil for one per core.
    public var threadCount: Int?
    /// The kernels to use, or nil for the best of this machine.
    public var instructionSet: InstructionSet?
    /// How caches hold keys and values, or nil for what the type of the weights suggests.
    public var keyValueType: KeyValueType?
    /// What is measured, and how often.
    public var plan = BenchmarkPlan()

    /// A benchmark with the usual plan.
    public init(_ subject: Subject) {
        self.subject = subject
    }

    /// Measures the machine, the models, and the machine again.
    ///
    /// - Parameter progressHandler: Sees what is going on.
    /// - Returns: Medians, spreads and shares.
    /// - Throws: `Owl2Error` for sizes that make no sense or do not fit the context or the memory; `CancellationError`.
    public func run(progressHandler: ProgressHandler? = nil) async throws -> BenchmarkReport {
        try await HeavyWork.run { try measure(progressHandler) }
    }

    private func measure(_ progressHandler: ProgressHandler?) throws -> BenchmarkReport {
        try plan.validate(contextLength: contextLength())
        let compute = try makeCompute()
        let peaks = try measurePeaks(compute, progressHandler), meter = try ReadMeter(compute)
        Machine.forgetPeak()
        let measurements = try models().flatMap { try measure($0, compute, meter, progressHandler) }
        let peak = max(0, Machine.peakResidentByteCount - meter.byteCount)
        let limits = MachineLimits(peaks.joined(try measurePeaks(compute, progressHandler)), meter)
        return BenchmarkReport(
            machine: .init(compute), limits: limits, results: measurements.map { $0.result(limits) },
            peakResidentByteCount: peak)
    }

    private func measure(
        _ model: BenchmarkModel, _ compute: Compute, _ meter: ReadMeter, _ progressHandler: ProgressHandler?
    ) throws -> [BenchmarkMeasurement] {
        let opened = try model.open(compute) { progressHandler?("\(model.name): making weights, \($0) %") }
        return try backends.flatMap { backend in
            let options = loadOptions(backend)
            var run = try BenchmarkRun(opened, options, plan, meter, progressHandler)
            return try run.measure()
        }
    }

    func makeCompute() throws -> Compute {
        try Compute(threadCount: threadCount, instructionSet: instructionSet)
    }

    func loadOptions(_ backend: ComputeBackend) -> LoadOptions {
        LoadOptions(
            threadCount: threadCount, backend: backend, instructionSet: instructionSet, keyValueType: keyValueType,
            imageCacheByteCount: 0)
    }

    func measurePeaks(_ compute: Compute, _ progressHandler: ProgressHandler?) throws -> Peaks {
        progressHandler?("measuring the machine")
        return try Peaks(compute)
    }

    func contextLength() throws -> Int {
        switch subject {
        case .model(let files): try files.source.configuration().decoder.contextLength
        case .synthetic(let shape, _): shape.configuration.decoder.contextLength
        }
    }

    func models() -> [BenchmarkModel] {
        switch subject {
        case .model(let files): [.files(files)]
        case .synthetic(let shape, let types): types.map { .synthetic(shape, $0) }
        }
    }
}

/// A model that is to be measured.
enum BenchmarkModel {
    case files(ModelFiles)
    case synthetic(SyntheticShape, WeightType)

    /// A model whose weights can be loaded any number of times.
    struct Opened {
        let source: any ModelSource
        let checkpoint: Checkpoint
        /// Opens the weights as loading does: the files anew, or those in memory.
        let openCheckpoint: () throws -> Checkpoint
    }

    var name: String {
        switch self {
        case .files(let files): files.name
        case .synthetic(let shape, let type): "\(shape.rawValue) \(type.rawValue)"
        }
    }

    func open(_ compute: Compute, progress: (Int) -> Void) throws -> Opened {
        switch self {
        case .files(let files):
            return Opened(source: files.source, checkpoint: try Checkpoint(files)) { try Checkpoint(files) }
        case .synthetic(let shape, let type):
            let checkpoint = try SyntheticWeights.checkpoint(shape, type: type, compute: compute) {
                progress(Int($0 * 100))
            }
            return Opened(source: SyntheticDescription(shape: shape), checkpoint: checkpoint) { checkpoint }
        }
    }
}

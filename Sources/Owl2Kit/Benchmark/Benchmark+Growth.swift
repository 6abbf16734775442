import Owl2Core
import Owl2Decoder
import Owl2Tensor

/// How cost grows with the length of a sequence and the number of pictures.
public struct GrowthReport: Sendable {
    /// A measured point.
    public struct Point: Sendable, Equatable {
        /// Rows, or pictures.
        public let size: Int
        /// Seconds, or bytes.
        public let value: Double
    }

    /// The machine it was measured on.
    public let machine: BenchmarkReport.MachineDescription
    /// What the machine can do at most.
    public let limits: MachineLimits
    /// The type of the weights.
    public let type: String
    /// How caches hold keys and values.
    public let keyValueType: KeyValueType
    /// Seconds of a step of decoding behind so many rows.
    public let decode: [Point]
    /// Seconds of such a step if it read its weights, and the keys and values behind it, as fast as memory could be read at
    /// the time.
    public let decodeBound: [Point]
    /// Seconds of a prompt of so many rows.
    public let prefill: [Point]
    /// Seconds of so many pictures, encoded together.
    public let images: [Point]
    /// Bytes of keys and values of so many rows.
    public let cache: [Point]
    /// Bytes in use by the process when the sequence had so many rows; zeros where the system does not say.
    public let resident: [Point]
}

extension Benchmark {
    /// Measures how cost grows: one sequence up to 2048 rows or the context's end, and pictures by twos up to eight.
    ///
    /// The first type and backend are measured.
    ///
    /// - Parameter progressHandler: Sees what is going on.
    /// - Returns: The measured points.
    /// - Throws: `Owl2Error`; `CancellationError`.
    public func measureGrowth(progressHandler: ProgressHandler? = nil) async throws -> GrowthReport {
        try await HeavyWork.run { try growth(progressHandler) }
    }

    private func growth(_ progressHandler: ProgressHandler?) throws -> GrowthReport {
        guard let model = models().first, let backend = backends.first else {
            throw Owl2Error(.invalidInput, "type and backend: expected one of each, found none", subject: "type")
        }
        let compute = try makeCompute()
        // Before the weights, as `run` does it: memory that was taken later can be faster.
        let peaks = try measurePeaks(compute, progressHandler), meter = try ReadMeter(compute)
        let opened = try model.open(compute) { progressHandler?("\(model.name): making weights, \($0) %") }
        let run = try BenchmarkRun(opened, loadOptions(backend), BenchmarkPlan(), meter, progressHandler)
        var sweep = GrowthSweep(run: run, counts: WorkCounts(opened.checkpoint, run.owl.configuration), meter: meter)
        try sweep.measureSequence(repetitions: plan.repetitions, progressHandler)
        try sweep.measureImages(repetitions: plan.repetitions, progressHandler)
        let limits = MachineLimits(peaks.joined(try measurePeaks(compute, progressHandler)), meter)
        return GrowthReport(
            machine: .init(compute), limits: limits, type: sweep.counts.elementType.benchmarkName,
            keyValueType: run.owl.makeCache().type,
            decode: sweep.decode, decodeBound: sweep.decodeBound, prefill: sweep.prefill,
            images: sweep.images,
            cache: sweep.cache, resident: sweep.resident)
    }
}

/// The points that were measured so far.
private struct GrowthSweep {
    var run: BenchmarkRun
    let counts: WorkCounts
    let meter: ReadMeter
    var decode: [GrowthReport.Point] = []
    var decodeBound: [GrowthReport.Point] = []
    var prefill: [GrowthReport.Point] = []
    var images: [GrowthReport.Point] = []
    var cache: [GrowthReport.Point] = []
    var resident: [GrowthReport.Point] = []

    private static let rowsPerPoint = 256
    private static let mostRows = 2048

    /// A prompt goes through the decoder in the very passes that are measured here, so that the time of a longer one is
    /// that of a shorter one and of what comes behind it.
    mutating func measureSequence(repetitions: Int, _ progressHandler: Benchmark.ProgressHandler?) throws {
        let context = run.owl.contextLength, steps = min(12, context / 4)
        let last = min(Self.mostRows, context) - steps
        let pages = run.owl.makeCache()
        _ = try run.prefill(min(8, last), run.owl.makeCache())
        try step(steps, pages, repetitions)
        var elapsed = 0.0
        while pages.count < last {
            try Task.checkCancellation()
            progressHandler?("a sequence of \(pages.count) rows of \(last)")
            let rows = min(Self.rowsPerPoint, last - pages.count)
            try timed(&elapsed) { _ = try run.prefill(rows, pages) }
            prefill.append(.init(size: pages.count, value: elapsed))
            cache.append(.init(size: pages.count, value: Double(pages.byteCount)))
            resident.append(
                .init(size: pages.count, value: Double(max(0, Machine.residentByteCount - meter.byteCount))))
            try step(steps, pages, repetitions)
        }
    }

    /// The median of a few short answers behind the cache's rows, which are forgotten again.
    private mutating func step(_ steps: Int, _ pages: KVCache, _ repetitions: Int) throws {
        let rows = pages.count
        var timings = Timings()
        for _ in 0..<repetitions {
            try timings.add(meter) { try run.decode(steps, [pages]) }
            pages.truncate(to: rows)
        }
        let configuration = run.owl.configuration.decoder
        let numbers = 2 * configuration.hiddenLayerCount * configuration.keyValueHeadCount * configuration.headDimension
        let bytesPerNumber = pages.type == .f32 ? 4.0 : pages.type == .f16 ? 2 : 1.125
        let bytes = Double(counts.stepByteCount) + Double(rows * numbers) * bytesPerNumber
        let seconds = timings.spread.median / Double(steps)
        decode.append(.init(size: rows, value: seconds))
        decodeBound.append(.init(size: rows, value: seconds * timings.shareOfReading(bytes * Double(steps))))
    }

    mutating func measureImages(repetitions: Int, _ progressHandler: Benchmark.ProgressHandler?) throws {
        try run.encode([run.requests.image()])
        for count in [1, 2, 4, 6, 8] {
            progressHandler?("\(count) pictures")
            let seconds = try (0..<repetitions).map { _ in
                try Task.checkCancellation()
                let pictures = (0..<count).map { _ in run.requests.image() }
                var elapsed = 0.0
                try timed(&elapsed) { try run.encode(pictures) }
                return elapsed
            }
            images.append(.init(size: count, value: BenchmarkResult.Spread(seconds).median))
        }
    }
}

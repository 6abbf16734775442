import Owl2Core
import Owl2Decoder
import Owl2Image
import Owl2Tensor

/// A result whose share of a limit is not known yet.
struct BenchmarkMeasurement {
    let work: BenchmarkResult.Work
    let type: String
    let backend: ComputeBackend
    let size: Int
    let spread: BenchmarkResult.Spread
    let unit: String
    let bound: BenchmarkResult.Bound
    let effort: Effort

    enum Effort {
        /// Operations a second.
        case rate(Double)
        /// The share of the bandwidth that memory had at the time.
        case share(Double)
    }

    func result(_ limits: MachineLimits) -> BenchmarkResult {
        let share =
            switch effort {
            case .rate(let rate): rate / limits.rate(bound)
            case .share(let share): share
            }
        return BenchmarkResult(
            work: work, type: type, backend: backend, size: size, spread: spread, unit: unit, bound: bound, share: share
        )
    }
}

/// The measurements of one model on one backend.
struct BenchmarkRun {
    private let model: BenchmarkModel.Opened
    private let options: LoadOptions
    private let plan: BenchmarkPlan
    private let progressHandler: Benchmark.ProgressHandler?
    private let counts: WorkCounts
    private let meter: ReadMeter
    private let loads: Timings
    var requests: RandomRequests
    let owl: Owl2Pipeline

    /// Loads the model as often as it is to be measured.
    init(
        _ model: BenchmarkModel.Opened, _ options: LoadOptions, _ plan: BenchmarkPlan, _ meter: ReadMeter,
        _ progressHandler: Benchmark.ProgressHandler?
    ) throws {
        progressHandler?("loading")
        var loads = Timings()
        func load() throws -> Owl2Pipeline {
            try loads.add(meter) { try Owl2Pipeline(model.source, options, openCheckpoint: model.openCheckpoint) }
        }
        for _ in 1..<(plan.works.contains(.load) ? plan.repetitions : 1) { _ = try load() }
        owl = try load()
        self.loads = loads
        self.meter = meter
        self.model = model
        self.options = options
        self.plan = plan
        self.progressHandler = progressHandler
        counts = WorkCounts(model.checkpoint, owl.configuration)
        requests = RandomRequests(owl.configuration)
        try plan.checkMemory(owl.configuration.decoder, owl.makeCache().type)
    }

    /// Everything that is planned, after a small round that maps the weights' pages.
    mutating func measure() throws -> [BenchmarkMeasurement] {
        var results: [BenchmarkMeasurement] = []
        if plan.works.contains(.load) { results.append(loadResult()) }
        if plan.works.contains(.image) {
            try encode([requests.image()])
            for count in plan.imageCounts { results.append(try images(count)) }
        }
        if plan.works.contains(.prefill) || plan.works.contains(.decode) { _ = try prefill(8, owl.makeCache()) }
        if plan.works.contains(.prefill) {
            for rows in plan.promptTokenCounts { results.append(try prefill(rows: rows)) }
        }
        if plan.works.contains(.decode) { results += try decode() }
        return results
    }

    private func loadResult() -> BenchmarkMeasurement {
        result(.load, 1, loads.spread, "s", .read, .share(loads.shareOfReading(Double(owl.loadedByteCount))))
    }

    private mutating func images(_ count: Int) throws -> BenchmarkMeasurement {
        var pictures = (0..<plan.repetitions).map { _ in (0..<count).map { _ in requests.image() } }
        let spread = try timings("image, \(count) at once") { try $0.encode(pictures.removeLast()) }.spread
        return result(
            .image, count, spread, "s", counts.productBound(options.backend),
            .rate(counts.imageOperationCount * Double(count) / spread.median))
    }

    private mutating func prefill(rows: Int) throws -> BenchmarkMeasurement {
        let timings = try timings("prefill of \(rows) rows") { _ = try $0.prefill(rows, $0.owl.makeCache()) }
        let spread = timings.spread.inverted(times: Double(rows))
        return result(
            .prefill, rows, spread, "tokens/s", counts.productBound(options.backend),
            .rate(counts.prefillOperationCount(rows: rows) * spread.median / Double(rows)))
    }

    private mutating func decode() throws -> [BenchmarkMeasurement] {
        let rows = plan.promptTokenCounts[0]
        var caches: [KVCache] = []
        return try plan.batchSizes.map { size in
            while caches.count < size {
                progressHandler?("\(typeName): prompt \(caches.count + 1) of \(size)")
                let cache = owl.makeCache()
                _ = try prefill(rows, cache)
                caches.append(cache)
            }
            let batch = Array(caches.prefix(size))
            let timings = try timings("decode, \(size) at once") {
                for cache in batch { cache.truncate(to: rows) }
                try $0.decode($0.plan.newTokenCount, batch)
            }
            return result(
                .decode, size, timings.spread.inverted(times: Double(size * plan.newTokenCount)), "tokens/s", .read,
                .share(timings.shareOfReading(Double(counts.stepByteCount * plan.newTokenCount))))
        }
    }

    private func result(
        _ work: BenchmarkResult.Work, _ size: Int, _ spread: BenchmarkResult.Spread, _ unit: String,
        _ bound: BenchmarkResult.Bound, _ effort: BenchmarkMeasurement.Effort
    ) -> BenchmarkMeasurement {
        BenchmarkMeasurement(
            work: work, type: typeName, backend: options.backend, size: size, spread: spread, unit: unit, bound: bound,
            effort: effort)
    }

    private var typeName: String { counts.elementType.benchmarkName }

    /// All repetitions of the work.
    private mutating func timings(
        _ what: String, _ work: (inout BenchmarkRun) throws -> Void
    ) throws -> Timings {
        var timings = Timings()
        for repetition in 1...plan.repetitions {
            try Task.checkCancellation()
            progressHandler?("\(typeName), \(options.backend.rawValue): \(what), \(repetition) of \(plan.repetitions)")
            try timings.add(meter) { try work(&self) }
        }
        return timings
    }
}

// The work itself.
extension BenchmarkRun {
    /// Encodes pictures, which should be new ones.
    func encode(_ images: [Image]) throws {
        _ = try owl.encodeImages(images)
    }

    /// Runs random tokens through the decoder.
    mutating func prefill(_ rows: Int, _ cache: KVCache) throws -> Matrix {
        let tokens = requests.tokens(rows)
        let logits = try owl.model.prefill(
            owl.model.splice(tokens, imageMarkerID: -1, images: []), into: cache)
        try requireFinite(UnsafeBufferPointer(start: logits.elements, count: logits.count), "behind a random prompt")
        return logits
    }

    /// Steps of several sequences together, each with its likeliest token.
    mutating func decode(_ steps: Int, _ caches: [KVCache]) throws {
        var tokens = requests.tokens(caches.count)
        let decoder = owl.model.decoder
        for _ in 0..<steps {
            let rows = caches.indices.map {
                DecoderRow(sequence: $0, position: caches[$0].count, modality: .text)
            }
            let logits = try decoder.forward(
                decoder.embed(tokens), rows: rows, caches: caches, logitRows: Array(caches.indices))
            tokens = caches.indices.map { row in
                UnsafeBufferPointer(start: logits.row(row), count: logits.columnCount).indexOfLargest ?? 0
            }
        }
    }
}

/// Prompts and pictures that are all different.
struct RandomRequests {
    private let vocabularySize: Int
    private let imageSize: Int
    private var generator = SplitMix64(seed: 7)

    init(_ configuration: ModelConfiguration) {
        vocabularySize = configuration.decoder.vocabularySize
        imageSize = configuration.vision.imageSize
    }

    mutating func tokens(_ count: Int) -> [Int] {
        (0..<count).map { _ in Int(generator.next() % UInt64(vocabularySize)) }
    }

    mutating func image() -> Image {
        let bytes = (0..<imageSize * imageSize * 3).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        return .rgb8(bytes, width: imageSize, height: imageSize)
    }
}

extension BenchmarkResult.Spread {
    /// Seconds to amounts a second.
    func inverted(times amount: Double) -> BenchmarkResult.Spread {
        BenchmarkResult.Spread(median: amount / median, low: amount / high, high: amount / low)
    }

    private init(median: Double, low: Double, high: Double) {
        self.median = median
        self.low = low
        self.high = high
    }
}

extension ElementType {
    /// The name by which `--type` calls it.
    var benchmarkName: String {
        switch self {
        case .float32: "f32"
        case .float16: "f16"
        case .bfloat16: "bf16"
        case .q8_0, .q4_0, .q4_k, .q6_k: rawValue
        }
    }
}

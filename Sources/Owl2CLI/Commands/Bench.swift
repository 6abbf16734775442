import ArgumentParser
import Foundation
import Owl2Bundled
import Owl2Kit

/// `owl2 bench`: how fast this machine is with a model, and which share of its limits that is.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure loading, pictures, prompts and answers against the machine's limits.",
        discussion: """
            Lists are separated by commas. Decoding stands behind the first of --prompt-tokens. A share is that of the \
            memory's bandwidth for decoding (bytes of weights a step), and of the peak of multiplication and addition for \
            prompts and pictures (two operations for every weight and row).
            """)

    @OptionGroup(title: "Model") var model: ModelOptions

    @Option(parsing: .unconditional, help: "Random weights of the published shape (7b) or a small one, without a file.")
    var synthetic: SyntheticShape?

    @Option(parsing: .unconditional, help: "The types of the random weights: f16, bf16, q8_0, q4_0, q4_k, q6_k.")
    var type: ValueList<WeightType>?

    @Option(parsing: .unconditional, help: "What multiplies matrices: own, openblas, or both.")
    var backend = ValueList(ComputeBackend.own)

    @OptionGroup var threading: ThreadOptions

    @Option(parsing: .unconditional, help: "The kernels to measure; the best of this machine if absent.")
    var isa: AvailableInstructionSet?

    @OptionGroup var cache: CacheOptions

    @OptionGroup(title: "Work") var work: BenchWorkOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Measure how cost grows with rows and pictures instead, and draw it into an SVG file.", valueName: "file"))
    var growth: FilePath?

    @Option(
        parsing: .unconditional, help: "Write a table (text), one object (json) or a table for a document (markdown).")
    var format = ReportFormat.text

    func validate() throws {
        guard synthetic == nil || model.model == nil else {
            throw ValidationError("--synthetic and --model: expected one of them, found both")
        }
        guard synthetic != nil || type == nil else {
            throw ValidationError("--type: expected --synthetic with it, as a model's files have their types")
        }
        if growth != nil, (type?.values.count ?? 1) > 1 || backend.values.count > 1 {
            throw ValidationError("--growth: expected one type and one backend")
        }
        do {
            try work.plan.validate()
        } catch let error as Owl2Error {
            throw ValidationError("--\(error.message)")
        }
    }

    func run() async throws {
        if backend.values.contains(.openblas) { OpenBLASProcess.prepare(threadCount: threading.threads) }
        let progress = ProgressLine()
        defer { progress.clear() }
        let benchmark = try benchmark(), handler = progress.textHandler
        if let growth {
            let report = try await benchmark.measureGrowth(progressHandler: handler)
            progress.clear()
            try GrowthWriter.write(report, to: growth.url, format)
            return
        }
        let report = try await benchmark.run(progressHandler: handler)
        progress.clear()
        try StandardOutput.write(BenchReport(report: report).formatted(format))
    }

    private func benchmark() throws -> Benchmark {
        var benchmark = Benchmark(
            try synthetic.map { .synthetic($0, type?.values ?? [.q4_0]) } ?? .model(model.files()))
        benchmark.backends = backend.values
        benchmark.threadCount = threading.threads
        benchmark.instructionSet = isa?.set
        benchmark.keyValueType = cache.kv
        benchmark.plan = work.plan
        return benchmark
    }
}

/// What is measured, and how often.
struct BenchWorkOptions: ParsableArguments {
    @Option(parsing: .unconditional, help: "The work to measure: load, image, prefill, decode.")
    var work = ValueList(
        BenchmarkResult.Work.load, BenchmarkResult.Work.image, BenchmarkResult.Work.prefill, BenchmarkResult.Work.decode
    )

    @Option(parsing: .unconditional, help: ArgumentHelp("Rows of the prompts.", valueName: "n,n…"))
    var promptTokens = ValueList(128, 512)

    @Option(parsing: .unconditional, help: ArgumentHelp("Steps of decoding.", valueName: "n"))
    var newTokens = 32

    @Option(parsing: .unconditional, help: ArgumentHelp("Pictures that are encoded together.", valueName: "n,n…"))
    var images = ValueList(1)

    @Option(parsing: .unconditional, help: ArgumentHelp("Sequences that are decoded together.", valueName: "n,n…"))
    var batch = ValueList(1)

    @Option(
        parsing: .unconditional, help: ArgumentHelp("How often everything is measured, at least 3.", valueName: "n"))
    var repetitions = 3

    var plan: BenchmarkPlan {
        var plan = BenchmarkPlan()
        plan.works = Set(work.values)
        plan.promptTokenCounts = promptTokens.values
        plan.newTokenCount = newTokens
        plan.imageCounts = images.values
        plan.batchSizes = batch.values
        plan.repetitions = repetitions
        return plan
    }
}

/// How measurements are written.
enum ReportFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json, markdown
}

extension SyntheticShape: ExpressibleByArgument {}

/// An instruction set that this machine has, by its name in lower case: `avx-512-vnni`.
struct AvailableInstructionSet: ExpressibleByArgument {
    let set: InstructionSet

    static var allValueStrings: [String] { InstructionSet.allCases.filter(\.isAvailable).map(name) }

    init?(argument: String) {
        let sets = InstructionSet.allCases.filter(\.isAvailable)
        guard let set = sets.first(where: { Self.name($0) == argument }) else { return nil }
        self.set = set
    }

    private static func name(_ set: InstructionSet) -> String {
        set.description.lowercased().replacingOccurrences(of: " ", with: "-")
    }
}
extension BenchmarkResult.Work: ExpressibleByArgument {}

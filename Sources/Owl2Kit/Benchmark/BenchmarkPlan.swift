import Owl2Core
import Owl2Decoder
import Owl2Tensor

/// What a benchmark measures, and how often.
public struct BenchmarkPlan: Sendable {
    /// The work to measure.
    public var works: Set<BenchmarkResult.Work> = Set(BenchmarkResult.Work.allCases)
    /// Rows of the prompts; decoding stands behind the first.
    public var promptTokenCounts = [128, 512]
    /// Steps of decoding.
    public var newTokenCount = 32
    /// Pictures that are encoded together.
    public var imageCounts = [1]
    /// Sequences that are decoded together.
    public var batchSizes = [1]
    /// How often everything is measured.
    public var repetitions = 3

    /// The usual plan.
    public init() {}

    /// Checks that the numbers make sense, for a model if it is known.
    ///
    /// - Parameter contextLength: Rows that the model's context has.
    /// - Throws: `Owl2Error` (`invalidInput` or `contextExceeded`) with the option, what was expected and what was found.
    public func validate(contextLength: Int? = nil) throws {
        try Self.check("prompt-tokens", promptTokenCounts, 1 << 22)
        try Self.check("new-tokens", [newTokenCount], 1 << 22)
        try Self.check("images", imageCounts, 256)
        try Self.check("batch", batchSizes, 1024)
        guard (3...1000).contains(repetitions) else { throw Self.invalid("repetitions", "3 to 1000", repetitions) }
        guard let contextLength else { return }
        let longest = works.contains(.prefill) ? promptTokenCounts.max() ?? 0 : 0
        let decoded = works.contains(.decode) ? promptTokenCounts[0] + newTokenCount : 0
        guard max(longest, decoded) <= contextLength else {
            throw Owl2Error(
                .contextExceeded,
                decoded > longest
                    ? "prompt-tokens and new-tokens: \(promptTokenCounts[0]) and \(newTokenCount) rows together, "
                        + "the context has \(contextLength)"
                    : "prompt-tokens: \(longest) rows, the context has \(contextLength)", subject: "prompt-tokens")
        }
    }

    /// Checks that the caches of all sequences fit into the machine's memory.
    func checkMemory(_ configuration: DecoderConfiguration, _ type: KeyValueType) throws {
        let bytesPerNumber = type == .f32 ? 4.0 : type == .f16 ? 2 : 1.125
        let width = configuration.keyValueHeadCount * configuration.headDimension
        let perRow = Double(2 * configuration.hiddenLayerCount * width) * bytesPerNumber
        let rows = Double(promptTokenCounts[0] + newTokenCount) * Double(batchSizes.max() ?? 1)
        guard !works.contains(.decode) || rows * perRow < 0.5 * Double(Machine.memoryByteCount) else {
            throw Owl2Error(
                .invalidInput,
                "batch: the caches of \(batchSizes.max() ?? 1) sequences need \(Int(rows * perRow)) bytes, the machine has "
                    + "\(Machine.memoryByteCount)", subject: "batch")
        }
    }

    private static func check(_ option: String, _ values: [Int], _ limit: Int) throws {
        guard !values.isEmpty else {
            throw Owl2Error(.invalidInput, "\(option): expected at least one number, found none", subject: option)
        }
        for value in values where !(1...limit).contains(value) { throw invalid(option, "1 to \(limit)", value) }
    }

    private static func invalid(_ option: String, _ expected: String, _ found: Int) -> Owl2Error {
        Owl2Error(.invalidInput, "\(option): expected \(expected), found \(found)", subject: option)
    }
}

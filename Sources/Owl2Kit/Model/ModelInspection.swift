import Owl2Checkpoint
import Owl2Core
import Owl2Tensor

/// What a model's files hold, without running it.
public struct ModelInspection: Sendable {
    /// One of the model's parts.
    public struct Part: Sendable {
        /// What the part is called.
        public let name: String
        /// Elements of its tensors.
        public let parameterCount: Int
        /// Bytes of its tensors as they are stored.
        public let byteCount: Int
        /// How many tensors are stored in which type.
        public let elementTypes: [String: Int]
    }

    /// The model's shape.
    public let configuration: ModelConfiguration
    /// How the weights are spread over files.
    public let layout: String
    /// The parts, in the order of the way through the model.
    public let parts: [Part]
    /// Weights that are missing or cannot be used.
    public let problems: [String]
    /// Weights that the model has no use for, and other warnings.
    public let unexpected: [String]
    /// Weights of a GGUF file whose rows the type that was asked for cannot hold, with the type that they have.
    public let fallbacks: [String: String]
    /// Keys whose tensors have NaN or infinite elements, and how many.
    public let nonFinite: [String: Int]

    /// Looks at a model's files.
    ///
    /// - Parameters:
    ///   - files: The model's files.
    ///   - checkingValues: Whether to read all weights and count what is not finite.
    ///   - progressHandler: Sees how much was read.
    /// - Returns: What was found.
    /// - Throws: `Owl2Error` for files that cannot be understood at all; `CancellationError`.
    public static func inspect(
        _ files: ModelFiles, checkingValues: Bool = true, progressHandler: Owl2Pipeline.ProgressHandler? = nil
    ) async throws -> ModelInspection {
        try await HeavyWork.run { try ModelInspection(files, checkingValues, progressHandler) }
    }

    private init(
        _ files: ModelFiles, _ checkingValues: Bool, _ progressHandler: Owl2Pipeline.ProgressHandler?
    ) throws {
        let checkpoint = try Checkpoint(files)
        let loader = WeightLoader(checkpoint)
        configuration = Owl2Model.adjusting(try files.source.configuration(), to: loader)
        _ = Owl2Model(loader, configuration: configuration, compute: try Compute(threadCount: 1))
        layout = checkpoint.layout
        problems = loader.problems
        unexpected = checkpoint.diagnostics + loader.unexpectedKeys()
        parts = Self.parts(of: checkpoint)
        fallbacks = try Self.fallbacks(of: checkpoint)
        nonFinite = checkingValues ? try Self.countNonFinite(checkpoint, progressHandler) : [:]
    }

    private static let partNames: [(name: String, prefixes: [String])] = [
        ("visual encoder", ["model.vision_model."]),
        ("visual abstractor", ["model.visual_abstractor."]),
        ("token embeddings", ["model.embed_tokens."]),
        ("decoder layers", ["model.layers.", "model.norm."]),
        ("language model head", ["lm_head."]),
        ("other", [""]),
    ]

    private static func parts(of checkpoint: Checkpoint) -> [Part] {
        let groups = Dictionary(grouping: checkpoint.tensors) { key, _ in
            partNames.firstIndex { part in part.prefixes.contains { key.hasPrefix($0) } } ?? partNames.count - 1
        }
        return groups.sorted { $0.key < $1.key }.map { index, tensors in
            Part(
                name: partNames[index].name,
                parameterCount: tensors.reduce(0) { $0 + $1.value.shape.reduce(1, *) },
                byteCount: tensors.reduce(0) { $0 + $1.value.byteCount },
                elementTypes: tensors.reduce(into: [:]) { $0[$1.value.storedTypeName, default: 0] += 1 })
        }
    }

    /// What the rules for types say of a file that was made for one.
    private static func fallbacks(of checkpoint: Checkpoint) throws -> [String: String] {
        guard let number = try checkpoint.files.gguf?.optional("general.file_type", as: Int.self),
            let type = WeightType.allCases.first(where: { Int($0.fileType) == number })
        else { return [:] }
        return QuantizationPlan.fallbacks(in: checkpoint.tensors, WeightTypePolicy(type: type))
    }

    private static func countNonFinite(
        _ checkpoint: Checkpoint, _ progressHandler: Owl2Pipeline.ProgressHandler?
    ) throws -> [String: Int] {
        var counts: [String: Int] = [:], done = 0
        let total = max(1, checkpoint.tensors.values.reduce(0) { $0 + $1.byteCount })
        for (key, tensor) in checkpoint.tensors.sorted(by: { $0.key < $1.key }) {
            let fraction = Double(done) / Double(total)
            progressHandler?(PipelineProgress(stage: .loading, fractionCompleted: fraction))
            let count = try tensor.nonFiniteCount()
            if count > 0 { counts[key] = count }
            done += tensor.byteCount
        }
        progressHandler?(PipelineProgress(stage: .loading, fractionCompleted: 1))
        return counts
    }
}

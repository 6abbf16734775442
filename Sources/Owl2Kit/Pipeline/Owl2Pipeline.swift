import Foundation
import Owl2Abstractor
import Owl2Checkpoint
import Owl2Core
import Owl2Decoder
import Owl2Image
import Owl2Tensor
import Owl2Tokenizer
import Owl2Vision

/// How a model is loaded.
public struct LoadOptions: Sendable {
    /// Threads to compute with, or nil for one per core.
    public var threadCount: Int?
    /// What multiplies matrices.
    public var backend: ComputeBackend
    /// The kernels to use, or nil for the best of this machine.
    public var instructionSet: InstructionSet?
    /// How caches hold keys and values, or nil for Float32 where the weights are floats and half precision where they are
    /// quantised.
    public var keyValueType: KeyValueType?
    /// The most memory for the embeddings of pictures that were encoded, so that a picture that is met again is not
    /// encoded again; 0 keeps none. A picture of the published model takes about a megabyte.
    public var imageCacheByteCount: Int

    /// Options for loading.
    public init(
        threadCount: Int? = nil, backend: ComputeBackend = .own, instructionSet: InstructionSet? = nil,
        keyValueType: KeyValueType? = nil, imageCacheByteCount: Int = 64 << 20
    ) {
        self.threadCount = threadCount
        self.backend = backend
        self.instructionSet = instructionSet
        self.keyValueType = keyValueType
        self.imageCacheByteCount = imageCacheByteCount
    }
}

/// How far a stage of the work is.
public struct PipelineProgress: Sendable {
    /// The stages that take long.
    public enum Stage: String, Sendable {
        /// Reading the model's files.
        case loading
        /// Pictures to the decoder's rows.
        case encodingImages
        /// The prompt's rows through the decoder.
        case prefill
        /// Writing weights in another type.
        case quantizing
        /// The answers of a batch.
        case answering
    }

    /// The stage.
    public var stage: Stage
    /// From 0 to 1 within the stage.
    public var fractionCompleted: Double
}

/// mPLUG-Owl2: questions about pictures, answered.
///
/// A pipeline is loaded once and shared by any number of tasks. Its weights stay in the files that they are mapped from.
///
/// ```swift
/// let owl = try await Owl2Pipeline.load(from: directory)
/// let answer = try await owl.respond(to: "What color is the circle?", images: [.file(url)])
/// ```
public final class Owl2Pipeline: Sendable {
    /// Sees how far the work is; called from the threads that work.
    public typealias ProgressHandler = @Sendable (PipelineProgress) -> Void

    /// The model's shape.
    public let configuration: ModelConfiguration
    /// Text to tokens and back.
    public let tokenizer: Tokenizer
    /// What was odd about the files, but no error: unexpected weights, for example.
    public let diagnostics: [String]
    /// How long loading took.
    public let loadSeconds: Double
    /// Stored bytes of the weights that loading read; all others are read when they are used.
    let loadedByteCount: Int
    let model: Owl2Model
    let preprocessor: ImagePreprocessor
    let imageCache: ImageCache
    /// How long passes of the decoder take.
    let passCosts = PassCosts()
    /// Whether a row's result is the same whatever rows are computed with it.
    let givesSameBitsForManyRows: Bool

    /// Rows that a prompt and its answer may have together.
    public var contextLength: Int { configuration.decoder.contextLength }

    /// Loads a model from a directory in the published layout, or from a GGUF file that ``ModelQuantizer`` made.
    ///
    /// - Parameters:
    ///   - url: The GGUF file, or the directory that holds `config.json`, `tokenizer.model` and the weights.
    ///   - options: How to load.
    ///   - progressHandler: Sees how far loading is.
    /// - Returns: The pipeline.
    /// - Throws: `Owl2Error` with the file or key, what was expected and what was found; all missing and misshaped weights
    ///   are in one error.
    public static func load(
        from url: URL, options: LoadOptions = LoadOptions(), progressHandler: ProgressHandler? = nil
    ) async throws -> Owl2Pipeline {
        try await load(from: ModelFiles(at: url), options: options, progressHandler: progressHandler)
    }

    /// Loads a model from files that are mapped or embedded.
    public static func load(
        from files: ModelFiles, options: LoadOptions = LoadOptions(), progressHandler: ProgressHandler? = nil
    ) async throws -> Owl2Pipeline {
        try await HeavyWork.run { try Owl2Pipeline(files, options, progressHandler) }
    }

    convenience init(_ files: ModelFiles, _ options: LoadOptions, _ progressHandler: ProgressHandler? = nil) throws {
        try self.init(files.source, options, progressHandler) { try Checkpoint(files) }
    }

    /// A model whose description and weights come from different places.
    init(
        _ source: any ModelSource, _ options: LoadOptions, _ progressHandler: ProgressHandler? = nil,
        openCheckpoint: () throws -> Checkpoint
    ) throws {
        let start = ContinuousClock.now
        func report(_ fraction: Double) {
            progressHandler?(PipelineProgress(stage: .loading, fractionCompleted: fraction))
        }
        report(0)
        guard options.imageCacheByteCount >= 0 else {
            throw Owl2Error(
                .invalidInput, "image cache: expected at least 0 bytes, found \(options.imageCacheByteCount)",
                subject: "imageCacheByteCount")
        }
        imageCache = ImageCache(capacity: options.imageCacheByteCount)
        givesSameBitsForManyRows = options.backend == .own
        let compute = try Compute(
            threadCount: options.threadCount, backend: options.backend, instructionSet: options.instructionSet)
        let configuration = try source.configuration()
        tokenizer = try source.tokenizer()
        preprocessor = try source.preprocessor(imageSize: configuration.vision.imageSize)
        report(0.1)
        let checkpoint = try openCheckpoint()
        report(0.5)
        let loader = WeightLoader(checkpoint)
        let adjusted = Owl2Model.adjusting(configuration, to: loader)
        model = Owl2Model(
            loader, configuration: adjusted, keyValueType: options.keyValueType, compute: compute)
        var diagnostics = try checkpoint.diagnostics + loader.finish()
        if adjusted != configuration {
            diagnostics.append(
                "config.json: vocab_size is \(configuration.decoder.vocabularySize), the embeddings have "
                    + "\(adjusted.decoder.vocabularySize) rows; the weights are right")
        }
        guard tokenizer.vocabularySize <= adjusted.decoder.vocabularySize else {
            throw Owl2Error(
                .invalidConfiguration,
                "tokenizer.model has \(tokenizer.vocabularySize) pieces, the model's vocabulary only "
                    + "\(adjusted.decoder.vocabularySize)", subject: "tokenizer.model")
        }
        if options.backend == .openblas, let better = Compute.betterOpenBLASCoreName {
            diagnostics.append(
                "OpenBLAS took the processor for \(Compute.openBLASCoreName) and is slow: set OPENBLAS_CORETYPE=\(better)"
            )
        }
        self.configuration = adjusted
        loadedByteCount = loader.copiedByteCount
        self.diagnostics = diagnostics
        loadSeconds = seconds(since: start)
        report(1)
    }

    // MARK: Answers

    /// Answers a question about pictures.
    ///
    /// - Parameters:
    ///   - prompt: The question, as plain text.
    ///   - images: Any number of pictures.
    ///   - parameters: How to generate.
    ///   - progressHandler: Sees how far encoding and prefill are.
    /// - Returns: The answer, without surrounding white space.
    /// - Throws: `Owl2Error` for input that makes no sense; `CancellationError` when the task is cancelled.
    public func respond(
        to prompt: String, images: [Image] = [], parameters: GenerateParameters = GenerateParameters(),
        progressHandler: ProgressHandler? = nil
    ) async throws -> String {
        let input = UserInput(prompt: prompt, images: images)
        return try await HeavyWork.run {
            var text = ""
            _ = try self.answer(input, parameters, progressHandler) { text += $0 }
            return text.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }

    /// Generates an answer piece by piece.
    ///
    /// - Parameters:
    ///   - input: What is asked.
    ///   - parameters: How to generate.
    ///   - progressHandler: Sees how far encoding and prefill are.
    /// - Returns: The stream of the answer, whose work has begun.
    public func generate(
        _ input: UserInput, parameters: GenerateParameters = GenerateParameters(),
        progressHandler: ProgressHandler? = nil
    ) -> GenerationStream {
        GenerationStream { emit in try self.answer(input, parameters, progressHandler, emit) }
    }

    func answer(
        _ input: UserInput, _ parameters: GenerateParameters, _ progressHandler: ProgressHandler?,
        _ emit: (String) -> Void
    ) throws -> GenerationInfo {
        let prompt = try prepare(input)
        let sampler = try makeSampler(parameters, promptTokens: prompt.tokens)
        var timings = GenerationTimings(load: loadSeconds)
        let images = try timed(&timings.image) { try encode(prompt, progressHandler) }
        let cache = makeCache()
        let logits = try timed(&timings.prefill) {
            try prefill(prompt, images: images.rows, into: cache, progressHandler)
        }
        let sequence = AnswerSequence(
            self, cache: cache, sampler: sampler, parameters: parameters, context: prompt.tokens)
        try timed(&timings.decode) { try sequence.run(from: logits, emit) }
        return sequence.info(prompt, images, timings, parameters)
    }

    /// A sampler for an answer to a prompt; throws for parameters that make no sense.
    func makeSampler(_ parameters: GenerateParameters, promptTokens: [Int]) throws -> TokenSampler {
        try TokenSampler(
            parameters: parameters, promptTokens: promptTokens.filter { $0 != Tokenizer.imageMarkerID },
            endTokens: configuration.endTokenIDs, vocabularySize: configuration.decoder.vocabularySize)
    }
}

/// Runs the work and adds the seconds that it took.
func timed<Result>(_ total: inout Double, _ work: () throws -> Result) rethrows -> Result {
    let start = ContinuousClock.now
    defer { total += seconds(since: start) }
    return try work()
}

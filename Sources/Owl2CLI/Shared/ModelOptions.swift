import ArgumentParser
import Foundation
import Owl2Bundled
import Owl2Kit

/// A place in the file system.
struct FilePath: ExpressibleByArgument {
    let url: URL

    init?(argument: String) {
        guard !argument.isEmpty else { return nil }
        url = URL(fileURLWithPath: argument)
    }
}

/// Where the model is.
struct ModelOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The model's directory or GGUF file; the small model inside the program if absent.", valueName: "path"))
    var model: FilePath?

    /// The model's files.
    func files() throws -> ModelFiles {
        try model.map { try ModelFiles(at: $0.url) } ?? BundledModel.files
    }
}

/// How many threads compute.
struct ThreadOptions: ParsableArguments {
    @Option(
        parsing: .unconditional, help: ArgumentHelp("Threads to compute with; one per core if absent.", valueName: "n"))
    var threads: Int?

    func validate() throws {
        guard let threads, !(1...Compute.maximumThreadCount).contains(threads) else { return }
        throw ValidationError("--threads: expected 1 to \(Compute.maximumThreadCount), found \(threads)")
    }
}

/// How caches hold keys and values.
struct CacheOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: "How keys and values are kept; f32 for float weights, f16 for quantised ones if absent.")
    var kv: KeyValueType?
}

/// How to compute.
struct ComputeOptions: ParsableArguments {
    @OptionGroup var threading: ThreadOptions

    @Option(parsing: .unconditional, help: "What multiplies matrices.")
    var backend = ComputeBackend.own

    @OptionGroup var cache: CacheOptions

    /// Loads a model, with progress and warnings on the standard error.
    func load(_ files: ModelFiles, _ progress: ProgressLine) async throws -> Owl2Pipeline {
        let threads = threading.threads
        if backend == .openblas { OpenBLASProcess.prepare(threadCount: threads) }
        defer { progress.clear() }
        let owl = try await Owl2Pipeline.load(
            from: files, options: LoadOptions(threadCount: threads, backend: backend, keyValueType: cache.kv),
            progressHandler: progress.handler)
        progress.clear()
        for warning in owl.diagnostics { StandardError.writeLine("warning: \(warning)") }
        return owl
    }
}

extension ComputeBackend: ExpressibleByArgument {}
extension KeyValueType: ExpressibleByArgument {}

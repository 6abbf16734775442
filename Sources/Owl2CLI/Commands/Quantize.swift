import ArgumentParser
import Foundation
import Owl2Kit

/// `owl2 quantize`: a model as one GGUF file.
struct Quantize: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a model as one GGUF file, with its weights in another type.",
        discussion: """
            Norms, biases and position tables stay Float32, embeddings and the head are at least Q8_0. The file appears \
            when it is whole; --model takes it wherever it takes a directory.
            """)

    @Argument(help: "The model's directory, or another GGUF file of it.")
    var model: FilePath

    @Argument(help: "The GGUF file to write.")
    var output: FilePath

    @Option(parsing: .unconditional, help: "The type of most weights: f16, bf16, q8_0, q4_0, q4_k or q6_k.")
    var type: WeightType

    @OptionGroup var threading: ThreadOptions

    func run() async throws {
        let progress = ProgressLine()
        defer { progress.clear() }
        let quantizer = ModelQuantizer(type: type, threadCount: threading.threads), handler = progress.handler
        let (source, target) = (model.url, output.url)
        let task = Task { try await quantizer.quantize(ModelFiles(at: source), to: target, progressHandler: handler) }
        let interrupt = InterruptKey()
        interrupt.setAction { task.cancel() }
        defer { interrupt.setAction {} }
        let report = try await task.value
        progress.clear()
        for warning in report.diagnostics { StandardError.writeLine("warning: \(warning)") }
        if !report.fallbacks.isEmpty {
            StandardError.writeLine(
                "note: \(report.fallbacks.count) weights are stored in another type, because their rows are no whole "
                    + "number of blocks; owl2 inspect lists them")
        }
        let types = report.elementTypes.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        try StandardOutput.write(
            "\(output.url.path): \(report.byteCount) bytes of weights (\(types.joined(separator: ", ")))\n")
    }
}

extension WeightType: ExpressibleByArgument {}

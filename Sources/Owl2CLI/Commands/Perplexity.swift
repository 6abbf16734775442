import ArgumentParser
import Foundation
import Owl2Kit

/// `owl2 perplexity`: what a change of the weights costs.
struct Perplexity: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure how well a model foretells a text or answers, and how close it stays to another one.",
        discussion: """
            A line of --pairs is {"images": ["a.png"], "prompt": "…", "answer": "…"}; paths count from that file's directory. \
            With --reference, as a rule the model that --model was made from, the divergence of their probabilities and the \
            share of equal likeliest tokens are measured, too.
            """)

    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Model") var compute: ComputeOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("The model to compare with: a directory or GGUF file.", valueName: "path"))
    var reference: FilePath?

    @Option(parsing: .unconditional, help: ArgumentHelp("A text file.", valueName: "file"))
    var text: FilePath?

    @Option(
        parsing: .unconditional, help: ArgumentHelp("A file of questions with answers, one a line.", valueName: "file"))
    var pairs: FilePath?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Rows of a window of text; 512 if absent and the context has them.", valueName: "n"))
    var window: Int?

    @Option(parsing: .unconditional, help: "Write lines (text) or one object (json).")
    var format = OutputFormat.text

    func validate() throws {
        guard (text == nil) != (pairs == nil) else {
            throw ValidationError("expected one of --text and --pairs, found \(text == nil ? "neither" : "both")")
        }
        guard let window else { return }
        guard text != nil else { throw ValidationError("--window: expected --text with it") }
        guard window >= 2 else { throw ValidationError("--window: expected at least 2, found \(window)") }
    }

    func run() async throws {
        let progress = ProgressLine()
        defer { progress.clear() }
        // What is wrong with the small files is said before the large ones are read.
        let input = try Self.text(text), questions = try pairs.map { try AnsweredQuestion.questions(from: $0.url) }
        let owl = try await compute.load(model.files(), progress)
        let other: Owl2Pipeline? =
            if let reference { try await compute.load(ModelFiles(at: reference.url), progress) } else { nil }
        let meter = try PerplexityMeter(owl, reference: other), show = progress.textHandler
        let handler: @Sendable (Double) -> Void = { show?("foretelling: \(Int($0 * 100)) %") }
        let report =
            if let questions {
                try await meter.measure(questions, progressHandler: handler)
            } else {
                try await meter.measure(text: input, windowLength: window, progressHandler: handler)
            }
        progress.clear()
        try StandardOutput.write(format == .json ? "\(Self.object(report))\n" : Self.lines(report))
    }

    private static func text(_ file: FilePath?) throws -> String {
        guard let file else { return "" }
        let region = try ByteRegion(mappingFile: file.url.path)
        guard let text = String(validating: region.bytes, as: UTF8.self) else {
            throw Owl2Error(
                .malformedFile, "\(file.url.path): expected UTF-8, found other bytes", subject: file.url.path)
        }
        return withExtendedLifetime(region) { text }
    }

    private static func object(_ report: PerplexityReport) -> JSONText {
        var members: [(String, JSONText)] = [("tokens", .integer(report.tokenCount))] + members(report.likelihood)
        if let comparison = report.comparison {
            members += [
                ("reference", .object(Self.members(comparison.reference))),
                ("kl_divergence", .double(comparison.meanDivergence)),
                ("kl_divergence_maximum", .double(comparison.maximumDivergence)),
                ("top1_agreement", .double(comparison.topAgreement)),
            ]
        }
        return .object(members)
    }

    private static func members(_ likelihood: PerplexityReport.Likelihood) -> [(String, JSONText)] {
        [
            ("mean_log_likelihood", .double(likelihood.mean)), ("standard_error", .double(likelihood.standardError)),
            ("perplexity", .double(likelihood.perplexity)),
        ]
    }

    private static func lines(_ report: PerplexityReport) -> String {
        func line(_ name: String, _ likelihood: PerplexityReport.Likelihood) -> String {
            String(
                format: "%@mean log-likelihood: %.5f (+- %.5f), perplexity: %.4f\n", name, likelihood.mean,
                likelihood.standardError, likelihood.perplexity)
        }
        var text = "tokens: \(report.tokenCount)\n" + line("", report.likelihood)
        if let comparison = report.comparison {
            text += line("reference: ", comparison.reference)
            text += String(
                format: "KL divergence: %.6f (at most %.4f), same likeliest token: %.2f %%\n",
                comparison.meanDivergence, comparison.maximumDivergence, comparison.topAgreement * 100)
        }
        return text
    }
}

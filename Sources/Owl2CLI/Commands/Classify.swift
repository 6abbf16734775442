import ArgumentParser
import Foundation
import Owl2Kit

/// `owl2 classify`: which of some given answers the model finds likeliest.
struct Classify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare given answers to a question.",
        discussion: "Writes a line 'probability<TAB>option' for each option; the probabilities sum to 1.")

    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Model") var compute: ComputeOptions
    @OptionGroup(title: "Pictures") var pictures: PictureOptions

    @Option(
        name: .customLong("option"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp("An answer; to be repeated.", valueName: "text"))
    var options: [String] = []

    @Flag(help: "The prompt is whole: no template is put around it.")
    var raw = false

    @Option(parsing: .unconditional, help: "Write lines (text) or one object (json).")
    var format = OutputFormat.text

    @Argument(help: "The question, or the whole prompt with --raw.")
    var prompt: String

    func validate() throws {
        guard !options.isEmpty else { throw ValidationError("--option: expected at least one, found none") }
        guard !options.contains("") else { throw ValidationError("--option: expected text, found an empty one") }
    }

    func run() async throws {
        let progress = ProgressLine()
        let owl = try await compute.load(model.files(), progress)
        defer { progress.clear() }
        let scores = try await owl.classify(
            pictures.input(prompt, isRaw: raw), options: options, progressHandler: progress.handler)
        progress.clear()
        switch format {
        case .text:
            let lines = scores.map { String(format: "%.6f", $0.probability) + "\t\($0.text)\n" }
            try StandardOutput.write(lines.joined())
        case .json:
            let entries = scores.map { score in
                JSONText.object([
                    ("text", .string(score.text)), ("tokens", .integers(score.tokens)),
                    ("logprob", .double(score.logprob)), ("probability", .double(score.probability)),
                ])
            }
            try StandardOutput.write("\(JSONText.object([("options", .array(entries))]))\n")
        }
    }
}

import ArgumentParser
import Owl2Kit

/// `owl2 ask`: one question, one answer.
struct Ask: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answer a question about any number of pictures.",
        discussion: """
            The question is put into the chat template behind the pictures, and is plain text whatever it holds. With --raw \
            it is a whole prompt with its own <|image|> markers and control tokens.
            """)

    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Model") var compute: ComputeOptions
    @OptionGroup(title: "Pictures") var pictures: PictureOptions
    @OptionGroup(title: "Generation") var generation: GenerationOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Report log-probabilities of each token and of this many of the likeliest; needs --format json.",
            valueName: "k"))
    var logprobs: Int?

    @Flag(help: "The prompt is whole: no template is put around it.")
    var raw = false

    @Option(parsing: .unconditional, help: "Write the answer alone (text), or one object with all about it (json).")
    var format = OutputFormat.text

    @Argument(help: "The question, or the whole prompt with --raw.")
    var prompt: String

    func validate() throws {
        guard let logprobs else { return }
        guard logprobs >= 0 else { throw ValidationError("--logprobs: expected at least 0, found \(logprobs)") }
        guard format == .json else {
            throw ValidationError("--logprobs: expected --format json with it, found --format \(format.rawValue)")
        }
    }

    func run() async throws {
        let progress = ProgressLine()
        let owl = try await compute.load(model.files(), progress)
        let stream = owl.generate(
            pictures.input(prompt, isRaw: raw), parameters: generation.parameters(topLogprobs: logprobs),
            progressHandler: progress.handler)
        defer { progress.clear() }
        switch format {
        case .text: try await AnswerPrinter.print(stream, progress)
        case .json: try StandardOutput.write("\(await report(stream, owl.tokenizer, progress))\n")
        }
    }

    private func report(_ stream: GenerationStream, _ tokenizer: Tokenizer, _ progress: ProgressLine) async throws
        -> JSONText
    {
        var text = ""
        var report: JSONText = nil
        for try await event in stream {
            switch event {
            case .text(let piece): text += piece
            case .info(let info): report = Self.object(text, info, tokenizer)
            }
        }
        progress.clear()
        return report
    }

    private static func object(_ text: String, _ info: GenerationInfo, _ tokenizer: Tokenizer) -> JSONText {
        let timings: [(String, JSONText)] = [
            ("load", info.timings.load.map { .double($0) } ?? .null), ("image", .double(info.timings.image)),
            ("prefill", .double(info.timings.prefill)), ("decode", .double(info.timings.decode)),
        ]
        var members: [(String, JSONText)] = [
            ("text", .string(text)), ("tokens", .integers(info.tokens)),
            ("prompt_tokens", .integer(info.promptTokenCount)), ("image_tokens", .integer(info.imageTokenCount)),
            ("stop_reason", .string(info.stopReason.rawValue)), ("seed", info.seed.map { .integer($0) } ?? .null),
            ("timings", .object(timings)),
        ]
        if let logprobs = info.logprobs {
            let entries = logprobs.map { place -> JSONText in
                let top = place.top.map { JSONText.object(Self.members($0, tokenizer)) }
                return .object(Self.members(place.chosen, tokenizer) + [("top", .array(top))])
            }
            members.append(("logprobs", .array(entries)))
        }
        return .object(members)
    }

    private static func members(_ entry: TokenLogprob, _ tokenizer: Tokenizer) -> [(String, JSONText)] {
        [
            ("token", .integer(entry.token)), ("piece", tokenizer.piece(entry.token).map { .string($0) } ?? .null),
            ("logprob", .double(entry.logprob)),
        ]
    }
}

/// Prints an answer while it is generated, without the white space around it.
enum AnswerPrinter {
    static func print(_ stream: GenerationStream, _ progress: ProgressLine) async throws {
        var answer = TrimmedText()
        do {
            for try await piece in stream.text {
                progress.clear()
                let text = answer.append(piece)
                if !text.isEmpty { try StandardOutput.write(text) }
            }
        } catch {
            progress.clear()
            if answer.hasBegun { try? StandardOutput.write("\n") }
            throw error
        }
        progress.clear()
        try StandardOutput.write("\n")
    }
}

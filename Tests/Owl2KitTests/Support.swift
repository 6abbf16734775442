import Testing

@testable import Owl2Kit

/// An answer with all that must be the same however it is computed.
struct WholeAnswer: Equatable, CustomStringConvertible {
    var text = ""
    var tokens: [Int] = []
    var logprobs: [GeneratedLogprobs] = []
    var stopReason = StopReason.length
    var promptTokenCount = 0
    var imageTokenCount = 0
    var seed: UInt64?

    init() {}

    init(_ text: String, _ info: GenerationInfo) {
        self.text = text
        tokens = info.tokens
        logprobs = info.logprobs ?? []
        stopReason = info.stopReason
        promptTokenCount = info.promptTokenCount
        imageTokenCount = info.imageTokenCount
        seed = info.seed
    }

    var description: String { "\(tokens) \(stopReason) \(text.debugDescription)" }
}

extension Owl2Pipeline {
    /// An answer alone, one token at a time unless said otherwise.
    func whole(
        _ input: UserInput, _ parameters: GenerateParameters, speculation: Speculation = .off
    ) async throws -> (answer: WholeAnswer, info: GenerationInfo) {
        var parameters = parameters
        parameters.speculation = speculation
        var text = ""
        for try await event in generate(input, parameters: parameters) {
            switch event {
            case .text(let piece): text += piece
            case .info(let info): return (WholeAnswer(text, info), info)
            }
        }
        throw CancellationError()
    }

    /// The answers to a batch, in order; questions that failed are nil.
    func whole(_ items: [BatchItem], maximumConcurrency: Int) async throws -> [WholeAnswer?] {
        var texts = Array(repeating: "", count: items.count)
        var answers = [WholeAnswer?](repeating: nil, count: items.count)
        for try await event in generate(batch: items, maximumConcurrency: maximumConcurrency) {
            switch event.content {
            case .text(let piece): texts[event.index] += piece
            case .info(let info):
                #expect(answers[event.index] == nil, "two results")
                answers[event.index] = WholeAnswer(texts[event.index], info)
            case .failure(let error): Issue.record("question \(event.index): \(error)")
            }
        }
        return answers
    }
}

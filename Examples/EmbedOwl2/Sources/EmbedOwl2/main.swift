// A tour of Owl2Kit: load a model, ask it, stream an answer, hold a conversation, choose between answers, answer many
// questions together.
//
//     swift run -c release --package-path Examples/EmbedOwl2 EmbedOwl2 [MODEL-DIRECTORY]
//
// Without a directory the small bundled model answers. It knows coloured shapes, as in ../Pictures.

import Foundation
import Owl2Bundled
import Owl2Kit

/// The example pictures lie beside this package.
let pictures = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../Pictures").standardized

do {
    let owl = try await loadModel(CommandLine.arguments.dropFirst().first)
    try await ask(owl)
    try await stream(owl)
    try await chat(owl)
    try await classify(owl)
    try await batch(owl)
    await handleAnError(owl)
} catch {
    FileHandle.standardError.write(Data("error: \(error)\n".utf8))
    exit(1)
}

/// 1. Load once. The pipeline is immutable and Sendable: share it between tasks as you like.
func loadModel(_ directory: String?) async throws -> Owl2Pipeline {
    let owl =
        if let directory {
            try await Owl2Pipeline.load(from: URL(filePath: directory)) { progress in
                FileHandle.standardError.write(Data("loading \(Int(progress.fractionCompleted * 100)) %\r".utf8))
            }
        } else {
            try await Owl2Pipeline.bundled()
        }
    // The library never prints. What it noticed while loading, such as weights that it has no use for, is here.
    for remark in owl.diagnostics { print("remark: \(remark)") }
    print("The context has \(owl.contextLength) rows.")
    return owl
}

/// 2. Ask a question about a picture and wait for the whole answer.
func ask(_ owl: Owl2Pipeline) async throws {
    let circle = Image.file(pictures.appending(path: "red-circle.png"))
    let answer = try await owl.respond(to: "What color is the circle?", images: [circle])
    print("The circle: \(answer)")

    // Pixels that are in memory already need no file: rows from the top, red, green, blue.
    let pixels = Array(repeating: [42, 163, 68] as [UInt8], count: 64 * 64).flatMap { $0 }
    let green = Image.rgb8(pixels, width: 64, height: 64)
    let rows = try owl.tokenCount(of: UserInput(prompt: "Describe the image.", images: [green]))
    print("A question about a green picture takes \(rows) rows.")
}

/// 3. Stream an answer: pieces of text as they are generated, then what is known about the whole.
func stream(_ owl: Owl2Pipeline) async throws {
    let input = UserInput(prompt: "Describe the image.", images: [.file(pictures.appending(path: "three-shapes.png"))])
    let parameters = GenerateParameters(maxNewTokens: 100, sampling: .greedy)
    for try await event in owl.generate(input, parameters: parameters) {
        switch event {
        case .text(let piece): print(piece, terminator: "")
        case .info(let info): print("\n\(info.generatedTokenCount) tokens, stopped by: \(info.stopReason)")
        }
    }
    // Leaving such a loop early, or cancelling the task around it, stops the work.
}

/// 4. Hold a conversation. The session keeps what was said: a turn computes only what is new. Turns can be streamed, too,
/// with `streamResponse(to:images:)`.
func chat(_ owl: Owl2Pipeline) async throws {
    let session = ChatSession(owl)
    let picture = Image.file(pictures.appending(path: "square-and-star.png"))
    print("The square:", try await session.respond(to: "What color is the square?", images: [picture]))
    print("Behind it:", try await session.respond(to: "What is the background color?"))
}

/// 5. Let the model choose between given answers. The probabilities sum to 1.
func classify(_ owl: Owl2Pipeline) async throws {
    let input = UserInput(prompt: "What shape is purple?", images: [.file(pictures.appending(path: "purple-star.png"))])
    let scores = try await owl.classify(input, options: ["Circle", "Square", "Star"])
    for score in scores { print(String(format: "%.2f", score.probability), score.text) }
}

/// 6. Answer many questions together: the weights are read once per step for all of them, and every answer is the one that
/// its question gets alone. A question that fails does not stop the others.
func batch(_ owl: Owl2Pipeline) async throws {
    let files = ["red-circle.png", "purple-star.png", "missing.png"]
    let questions = files.map {
        UserInput(prompt: "What is the background color?", images: [.file(pictures.appending(path: $0))])
    }
    for (file, result) in zip(files, try await owl.respond(to: questions)) {
        switch result {
        case .success(let answer): print("Behind \(file): \(answer.text)")
        case .failure: print("Behind \(file): no answer")
        }
    }
}

/// 7. Errors say what was expected and what was found; their code tells kinds apart.
func handleAnError(_ owl: Owl2Pipeline) async {
    do {
        _ = try await owl.respond(to: "What is this?", images: [.file(pictures.appending(path: "missing.png"))])
    } catch let error as Owl2Error where error.code == .unreadableFile {
        print("No such picture.")
    } catch {
        print("Something else: \(error)")
    }
}

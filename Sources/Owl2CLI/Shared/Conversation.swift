import ArgumentParser
import Foundation
import Owl2Kit

/// The pictures that wait for the next question.
struct Album {
    let preprocessor: ImagePreprocessor
    let fitting: FitOptions
    private(set) var images: [Image] = []

    init(preprocessor: ImagePreprocessor, fitting: FitOptions) {
        self.preprocessor = preprocessor
        self.fitting = fitting
    }

    /// Adds a picture, unless it cannot be read: better to know before the question is typed.
    mutating func add(_ file: FilePath) throws {
        let image = Image.file(file.url)
        _ = try preprocessor(image, fit: fitting.fit.fit, honorsOrientation: fitting.exif)
        images.append(image)
    }

    /// Takes all pictures out.
    mutating func takeAll() -> [Image] {
        defer { images = [] }
        return images
    }
}

/// Lines in, answers out, until the input ends.
struct Conversation {
    static let help = """
        /image FILE   show a picture with the next question
        /clear        forget the conversation
        /quit         leave, as the end of the input does
        """

    private let session: ChatSession
    private var album: Album
    private let interruptKey = InterruptKey()
    private var input: LineReader
    /// Whether a person types, who is prompted and told what happens.
    private let isInteractive = isatty(STDIN_FILENO) == 1 && StandardOutput.isTerminal
    private var hasFailed = false

    init(session: ChatSession, album: Album) throws {
        input = try LineReader()
        self.session = session
        self.album = album
    }

    /// Shows a picture with the next question.
    mutating func show(_ file: FilePath) throws {
        try album.add(file)
        if isInteractive { StandardError.writeLine("The next question is about \(file.url.lastPathComponent).") }
    }

    /// Takes turns until the end.
    ///
    /// - Throws: `ExitCode` (1) at the end when a line from a file or a pipe could not be answered: those who typed it
    ///   have seen the error. `Owl2Error` when the standard input or output cannot be used.
    mutating func run() async throws {
        if isInteractive { StandardError.write("\(Self.help)\nCtrl-C stops an answer.\n\n") }
        while let line = try await nextLine() {
            do {
                guard let text = String(validating: line, as: UTF8.self) else {
                    throw Owl2Error(.invalidInput, "the line is not valid UTF-8", subject: "standard input")
                }
                guard try await handle(text.trimmingCharacters(in: .whitespacesAndNewlines)) else { break }
            } catch let error as Owl2Error where error.subject != "standard output" {
                StandardError.writeLine("error: \(error.message)")
                hasFailed = true
            }
        }
        if hasFailed && !isInteractive { throw ExitCode.failure }
    }

    private mutating func nextLine() async throws -> [UInt8]? {
        let prompt = isInteractive ? "> " : ""
        try StandardOutput.write(prompt)
        // at the prompt the terminal drops what was typed so far
        interruptKey.setAction { if !prompt.isEmpty { try? StandardOutput.write("\n\(prompt)") } }
        let line = try input.next()
        if line == nil && isInteractive { try StandardOutput.write("\n") }
        return line
    }

    /// Does what a line asks for.
    ///
    /// - Returns: Whether to go on.
    private mutating func handle(_ line: String) async throws -> Bool {
        guard !line.isEmpty else { return true }
        guard line.hasPrefix("/") else {
            try await answer(line)
            return true
        }
        let words = line.split(maxSplits: 1, whereSeparator: \.isWhitespace)
        let value = words.count > 1 ? words[1].trimmingCharacters(in: .whitespaces) : ""
        switch (words[0], value) {
        case ("/quit", ""): return false
        case ("/clear", ""):
            await session.reset()
            _ = album.takeAll()
        case ("/image", _):
            guard let file = FilePath(argument: NSString(string: value).expandingTildeInPath) else {
                throw Owl2Error(.invalidInput, "/image: expected a file, found none", subject: "/image")
            }
            try show(file)
        default:
            throw Owl2Error(
                .invalidInput, "expected /image FILE, /clear or /quit, found '\(line)'", subject: "\(words[0])")
        }
        return true
    }

    private mutating func answer(_ question: String) async throws {
        let images = album.takeAll()
        let session = session
        let turn = Task {
            let progress = ProgressLine()
            defer { progress.clear() }
            let stream = session.streamResponse(to: question, images: images, progressHandler: progress.handler)
            try await AnswerPrinter.print(stream, progress)
        }
        interruptKey.setAction { turn.cancel() }
        do {
            try await turn.value
        } catch is CancellationError {
            if isInteractive { StandardError.writeLine("(stopped)") }
        }
    }
}

import ArgumentParser
import Foundation
import Owl2Kit

/// `owl2 tokenize`: text to token ids and back.
struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turn a raw prompt into token ids, or ids into text.",
        discussion: """
            Writes the ids on one line: the begin-of-sequence token first, -200 for an <|image|> marker. Of the model's files \
            only tokenizer.model is needed, and tokenizer_config.json is read if it is there.
            """)

    @OptionGroup var model: ModelOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Write the text of these token ids, in one argument or in many.", valueName: "ids"))
    var decode: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Read a JSON string per line, write a line of ids for each; '-' is the standard input.", valueName: "file"))
    var lines: String?

    @Argument(help: "The raw prompt.")
    var text: String?

    func validate() throws {
        let given = [decode != nil ? "--decode" : nil, lines != nil ? "--lines" : nil, text != nil ? "TEXT" : nil]
        let found = given.compactMap { $0 }
        guard found.count == 1 else {
            let list = found.isEmpty ? "none" : found.joined(separator: " and ")
            throw ValidationError("expected one of TEXT, --decode and --lines, found \(list)")
        }
        guard lines != "" else { throw ValidationError("--lines: expected a file, found an empty name") }
    }

    func run() throws {
        let tokenizer = try Tokenizer.load(from: model.files())
        if let decode {
            try StandardOutput.write(tokenizer.text(of: Self.ids(decode)) + "\n")
        } else if let lines {
            try encodeLines(of: lines, with: tokenizer)
        } else if let text {
            try StandardOutput.write(Self.line(text, tokenizer))
        }
    }

    private static func line(_ prompt: String, _ tokenizer: Tokenizer) -> String {
        let ids = tokenizer.encode(tokenizer.segments(ofRawPrompt: prompt))
        return ids.map(String.init).joined(separator: " ") + "\n"
    }

    private static func ids(_ list: String) throws -> [Int] {
        try list.split(whereSeparator: { $0.isWhitespace || $0 == "," }).map { word in
            guard let id = Int(word) else {
                throw Owl2Error(.invalidInput, "--decode: expected token ids, found '\(word)'", subject: "decode")
            }
            return id
        }
    }

    private func encodeLines(of path: String, with tokenizer: Tokenizer) throws {
        var reader = try LineReader(path: path)
        defer { reader.close() }
        let decoder = JSONDecoder()
        var output = "", number = 0
        while let line = try reader.next() {
            number += 1
            guard let prompt = try? decoder.decode(String.self, from: Data(line)) else {
                try StandardOutput.write(output)
                throw Owl2Error(
                    .malformedFile, "\(reader.name): line \(number): expected a JSON string, found something else",
                    subject: path)
            }
            output += Self.line(prompt, tokenizer)
            if output.utf8.count > 1 << 16 {
                try StandardOutput.write(output)
                output = ""
            }
        }
        try StandardOutput.write(output)
    }
}

extension Tokenizer {
    /// The text of a prompt's ids: the stretches between image markers are decoded one by one, as they were encoded.
    fileprivate func text(of ids: [Int]) throws -> String {
        try ids.split(separator: Self.imageMarkerID, omittingEmptySubsequences: false)
            .map { try decode(Array($0)) }.joined(separator: Self.imageMarker)
    }
}

import Foundation
import Owl2Core
import Owl2Image

/// A question about pictures with the answer that a model is to foretell.
public struct AnsweredQuestion: Sendable {
    /// Where it comes from, for error messages.
    public let place: String
    /// The pictures.
    public let images: [Image]
    /// The question, as plain text.
    public let prompt: String
    /// The answer.
    public let answer: String

    /// A question with its answer.
    public init(place: String, images: [Image], prompt: String, answer: String) {
        self.place = place
        self.images = images
        self.prompt = prompt
        self.answer = answer
    }

    private struct Line: Decodable {
        var images: [String]?
        let prompt: String
        let answer: String
    }

    /// Reads lines `{"images": ["a.png"], "prompt": "…", "answer": "…"}`. Paths count from the file's directory; lines
    /// without text are skipped.
    ///
    /// - Parameter file: A file of such lines.
    /// - Throws: `Owl2Error` with the file, the line and what is wrong with it.
    public static func questions(from file: URL) throws -> [AnsweredQuestion] {
        let region = try ByteRegion(mappingFile: file.path), directory = file.deletingLastPathComponent()
        let lines = region.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let questions = try lines.enumerated().compactMap { index, bytes -> AnsweredQuestion? in
            let place = "\(file.path), line \(index + 1)"
            guard bytes.contains(where: { $0 > 0x20 }) else { return nil }
            let line = try ByteRegion(name: place, copying: bytes).decodeJSON(Line.self)
            guard !line.answer.isEmpty else {
                throw Owl2Error(.invalidInput, "\(place): 'answer': expected text, found \"\"", subject: file.path)
            }
            let images = (line.images ?? []).map { Image.file(URL(fileURLWithPath: $0, relativeTo: directory)) }
            return AnsweredQuestion(place: place, images: images, prompt: line.prompt, answer: line.answer)
        }
        guard !questions.isEmpty else {
            throw Owl2Error(
                .invalidInput, "\(file.path): expected lines with questions and answers, found none", subject: file.path
            )
        }
        return withExtendedLifetime(region) { questions }
    }
}

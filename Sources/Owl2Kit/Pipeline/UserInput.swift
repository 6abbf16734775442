import Owl2Image
import Owl2Tokenizer

/// What a user asks: text and pictures, with the chat template around them, or a whole prompt as it is.
///
/// ```swift
/// UserInput(prompt: "Describe the image.", images: [.file(url)])
/// UserInput(segments: [.text("Is "), .image(first), .text(" older than "), .image(second), .text("?")])
/// UserInput.raw("USER: <|image|>Describe the image. ASSISTANT:", images: [.file(url)])
/// ```
public struct UserInput: Sendable {
    /// A piece of a question.
    public enum Segment: Sendable {
        /// Plain text: markers and control tokens in it are text, too.
        case text(String)
        /// A picture.
        case image(Image)
    }

    /// How pictures become squares.
    public var fit = ImageFit.stretch
    /// Whether pictures are turned as their EXIF data says. The authors' code does not.
    public var honorsOrientation = false

    enum Content: Sendable {
        case chat([Segment])
        case raw(String, images: [Image])
    }

    let content: Content

    /// A question about pictures, which stand before it.
    ///
    /// - Parameters:
    ///   - prompt: The question, as plain text.
    ///   - images: Any number of pictures.
    public init(prompt: String, images: [Image] = []) {
        self.init(segments: images.map { .image($0) } + [.text(prompt)])
    }

    /// A question with pictures at any place.
    ///
    /// - Parameter segments: Text and pictures in their order.
    public init(segments: [Segment]) {
        content = .chat(segments)
    }

    private init(content: Content) {
        self.content = content
    }

    /// A whole prompt with its own template, `<|image|>` markers and control tokens (`<s>`, `</s>`, `<unk>`).
    ///
    /// - Parameters:
    ///   - prompt: The prompt; the begin-of-sequence token is put in front of it.
    ///   - images: As many pictures as the prompt has markers.
    public static func raw(_ prompt: String, images: [Image] = []) -> UserInput {
        UserInput(content: .raw(prompt, images: images))
    }

    /// The input as the tokenizer takes it, and its pictures.
    func prompt(_ tokenizer: Tokenizer) -> (segments: [PromptSegment], images: [Image]) {
        switch content {
        case .raw(let prompt, let images):
            return (tokenizer.segments(ofRawPrompt: prompt), images)
        case .chat(let segments):
            var images: [Image] = []
            let question = segments.map { segment -> PromptSegment in
                switch segment {
                case .text(let text): return .text(text)
                case .image(let image):
                    images.append(image)
                    return .image
                }
            }
            return ([.text("USER: ")] + question + [.text(" ASSISTANT:")], images)
        }
    }
}

/// A prompt whose text is tokens and whose pictures are still to be encoded.
public struct PreparedPrompt: Sendable {
    /// Token ids, `Tokenizer.imageMarkerID` where a picture stands.
    public let tokens: [Int]
    /// The pictures, in order.
    public let images: [Image]
    /// Rows of the decoder that the prompt takes, those of pictures included.
    public let rowCount: Int
    /// Rows of the pictures alone.
    public let imageRowCount: Int
    /// How pictures become squares.
    public let fit: ImageFit
    /// Whether pictures are turned as their EXIF data says.
    public let honorsOrientation: Bool
}

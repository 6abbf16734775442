/// A part of a prompt: plain text, a control token, or the place of an image.
///
/// Text is always just text: `</s>` or `<|image|>` inside of it is spelled out with ordinary pieces, so that what a
/// user writes can never become a control token or a marker. Only ``Tokenizer/segments(ofRawPrompt:)`` reads those.
public enum PromptSegment: Sendable, Hashable {
    /// Plain text. Neighbouring texts are tokenised as if they were one.
    case text(String)
    /// A token by its id, as a rule a control token such as ``Tokenizer/endOfSequenceID``; it is passed on unchecked.
    case control(Int)
    /// The place of one image.
    case image
}

import Foundation

/// A picture to be shown to the model.
public enum Image: Sendable {
    /// A PNG or JPEG file; its content tells which, not its name.
    case file(URL)
    /// The bytes of a PNG or JPEG file.
    case encoded(Data)
    /// Decoded pixels, 0…255: `[height, width, 3]` bytes, rows from the top, red, green and blue of each pixel.
    case rgb8([UInt8], width: Int, height: Int)

    /// What error messages call the picture: the file's path, if it is one.
    public var name: String {
        switch self {
        case .file(let url): url.isFileURL ? url.path : url.absoluteString
        case .encoded: "encoded image"
        case .rgb8: "rgb8 image"
        }
    }
}

/// How a picture that is no square becomes one.
public enum ImageFit: String, Sendable, CaseIterable, Codable {
    /// Both sides are stretched to the longer one, then the square is resized; the default of the model's authors.
    case stretch
    /// The picture lies in the middle of a square of the mean colour, which is resized.
    case pad
    /// The shorter side is resized to the square's, and the middle of the longer one is cut out.
    case centerCrop
}

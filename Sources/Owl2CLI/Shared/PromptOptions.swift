import ArgumentParser
import Owl2Kit

/// How a picture becomes a square, by the names of the command line.
enum FitName: String, ExpressibleByArgument, CaseIterable {
    case stretch, pad, crop

    var fit: ImageFit {
        switch self {
        case .stretch: .stretch
        case .pad: .pad
        case .crop: .centerCrop
        }
    }
}

/// How pictures are prepared.
struct FitOptions: ParsableArguments {
    @Option(parsing: .unconditional, help: "How a picture becomes a square.")
    var fit = FitName.stretch

    @Flag(help: "Turn pictures as their EXIF data says; the model's authors do not.")
    var exif = false
}

/// Pictures, and how they are prepared.
struct PictureOptions: ParsableArguments {
    @Option(
        name: .customLong("image"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp("A PNG or JPEG file; may be repeated.", valueName: "file"))
    var files: [FilePath] = []

    @OptionGroup var fitting: FitOptions

    var images: [Image] { files.map { .file($0.url) } }

    /// A prompt with these pictures.
    ///
    /// - Parameters:
    ///   - prompt: A question, or a whole prompt.
    ///   - isRaw: Whether it is a whole prompt, with its own markers and control tokens.
    func input(_ prompt: String, isRaw: Bool) -> UserInput {
        var input = isRaw ? UserInput.raw(prompt, images: images) : UserInput(prompt: prompt, images: images)
        input.fit = fitting.fit.fit
        input.honorsOrientation = fitting.exif
        return input
    }
}

/// How results are written.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json
}

import ArgumentParser
import Owl2Checkpoint
import Owl2Kit

/// `owl2 preprocess`: a picture as the visual encoder takes it.
struct Preprocess: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a picture's pixel values, as the visual encoder takes them.",
        discussion: "The file has one tensor, pixel_values: Float32 [3, S, S] for the model's picture size S.")

    @OptionGroup var model: ModelOptions
    @OptionGroup var fitting: FitOptions

    @Option(parsing: .unconditional, help: ArgumentHelp("The safetensors file to write.", valueName: "file"))
    var output: FilePath

    @Argument(help: "A PNG or JPEG file.")
    var image: FilePath

    func run() throws {
        let preprocessor = try ImagePreprocessor.load(from: model.files())
        let pixels = try preprocessor(.file(image.url), fit: fitting.fit.fit, honorsOrientation: fitting.exif)
        var writer = SafetensorsWriter()
        writer.add("pixel_values", shape: [3, pixels.size, pixels.size], float32: pixels.values)
        try writer.write(to: output.url)
    }
}

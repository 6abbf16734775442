import Foundation
import Owl2Core

/// A picture as the visual encoder takes it.
public struct PixelValues: Sendable {
    /// `[3, size, size]`: red, green and blue, each by rows from the top, normalised by mean and standard deviation.
    public let values: [Float]
    /// The side of the square, in pixels.
    public let size: Int

    /// Pixel values of a square of a side.
    ///
    /// - Parameters:
    ///   - values: `[3, size, size]`, normalised.
    ///   - size: The side, in pixels.
    public init(values: [Float], size: Int) {
        precondition(values.count == 3 * size * size, "values that are not [3, size, size]")
        self.values = values
        self.size = size
    }
}

/// Turns pictures of any size into pixel values, bit for bit as Pillow and NumPy do it.
///
/// The picture is decoded to 8-bit RGB (alpha is dropped, colour profiles and gamma are ignored), made a square of the
/// model's size by bicubic resampling, and normalised: `(x / 255 - mean) / deviation`.
///
/// Pictures of up to 178 956 970 pixels and 1 000 000 pixels a side are accepted.
public struct ImagePreprocessor: Sendable {
    /// The sides of the model's square that are supported, in pixels.
    public static let supportedImageSizes = 1...4096

    /// The configuration.
    public let configuration: PreprocessorConfiguration
    /// The side of the square that the model takes, in pixels.
    public let imageSize: Int
    /// `[3, 256]`: the normalised value of each byte of each channel.
    private let normalized: [Float]
    private let padding: Background

    /// A preprocessor for a model.
    ///
    /// - Parameters:
    ///   - configuration: The content of `preprocessor_config.json`, or the default where there is none.
    ///   - imageSize: The side of the square that the visual encoder takes, in pixels.
    /// - Throws: `Owl2Error` for values that make no sense, are not supported or contradict the image size.
    public init(configuration: PreprocessorConfiguration = PreprocessorConfiguration(), imageSize: Int) throws {
        try configuration.validate()
        guard Self.supportedImageSizes.contains(imageSize) else {
            let range = "\(Self.supportedImageSizes.lowerBound) to \(Self.supportedImageSizes.upperBound)"
            throw Owl2Error(
                .invalidConfiguration, "image_size is \(imageSize), expected \(range) pixels", subject: "image_size")
        }
        if let size = configuration.cropSize ?? configuration.size, size != imageSize {
            let key = configuration.cropSize == nil ? "size" : "crop_size"
            throw Owl2Error(
                .invalidConfiguration,
                "preprocessor_config.json: '\(key)' is \(size), but the model's image_size is \(imageSize)",
                subject: key)
        }
        self.configuration = configuration
        self.imageSize = imageSize
        normalized = zip(configuration.imageMean, configuration.imageStandardDeviation).flatMap { mean, deviation in
            (0...255).map { (Float(Double($0) * (1.0 / 255)) - Float(mean)) / Float(deviation) }
        }
        let mean = configuration.imageMean.map { UInt8($0 * 255) }
        padding = Background(red: mean[0], green: mean[1], blue: mean[2])
    }

    /// Prepares a picture.
    ///
    /// - Parameters:
    ///   - image: The picture.
    ///   - fit: How it becomes a square.
    ///   - honorsOrientation: Whether a file's EXIF orientation is applied; the authors' code ignores it.
    /// - Returns: The pixel values, `[3, imageSize, imageSize]`.
    /// - Throws: `Owl2Error`, with the file's name, when the picture cannot be read, is of a format that is not
    ///   supported or is corrupt; `CancellationError` when the task was cancelled.
    public func callAsFunction(
        _ image: Image, fit: ImageFit = .stretch, honorsOrientation: Bool = false
    ) throws -> PixelValues {
        try self(ImageSource(image), fit: fit, honorsOrientation: honorsOrientation)
    }

    /// Prepares a picture whose bytes are at hand.
    package func callAsFunction(
        _ image: ImageSource, fit: ImageFit, honorsOrientation: Bool
    ) throws -> PixelValues {
        let bytes = try withPixels(of: image, honorsOrientation: honorsOrientation) { picture in
            try fit.square(of: picture, size: imageSize, padding: padding)
        }
        return normalize(bytes)
    }

    /// Decodes a picture and gives its pixels to a closure.
    private func withPixels<Result>(
        of image: ImageSource, honorsOrientation: Bool, _ body: (PictureView) throws -> Result
    ) throws -> Result {
        let file: ByteRegion
        switch image.content {
        case .rgb8(let pixels, let width, let height):
            return try Self.withPixels(pixels, width, height, image.name, body)
        case .file(let region):
            file = region
        }
        var picture = try ImageFormat.decode(file)
        if honorsOrientation {
            picture = try ImageFormat.orientation(of: file).apply(to: picture, name: file.name)
        }
        return try withExtendedLifetime(picture) { try body(picture.view) }
    }

    private static func withPixels<Result>(
        _ pixels: [UInt8], _ width: Int, _ height: Int, _ name: String, _ body: (PictureView) throws -> Result
    ) throws -> Result {
        guard width > 0, height > 0 else {
            throw Owl2Error(
                .invalidInput, "\(name): \(width) x \(height) pixels, expected at least 1 x 1", subject: name)
        }
        try PictureLimits.check(width: width, height: height, name: name)
        return try pixels.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress, buffer.count == width * height * 3 else {
                throw Owl2Error(
                    .invalidInput,
                    "\(name): \(width) x \(height) pixels need \(width * height * 3) bytes, found \(pixels.count)",
                    subject: name)
            }
            return try body(PictureView(pixels: base, width: width, height: height))
        }
    }

    /// `[size, size, 3]` bytes to `[3, size, size]` values.
    private func normalize(_ bytes: [UInt8]) -> PixelValues {
        let count = imageSize * imageSize
        let values = [Float](unsafeUninitializedCapacity: 3 * count) { values, written in
            for channel in 0..<3 {
                for index in 0..<count {
                    values[channel * count + index] = normalized[channel * 256 + Int(bytes[3 * index + channel])]
                }
            }
            written = 3 * count
        }
        return PixelValues(values: values, size: imageSize)
    }
}

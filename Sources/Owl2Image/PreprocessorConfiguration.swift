import Owl2Core

/// How pixels are prepared, as `preprocessor_config.json` says it. Absent fields have the published values.
public struct PreprocessorConfiguration: Codable, Sendable, Equatable {
    /// The length of a side to which pictures are resized, in pixels; `nil` where the file does not say.
    public var size: Int?
    /// The length of a side of the square that the model sees, in pixels; `nil` where the file does not say.
    public var cropSize: Int?
    /// The filter in Pillow's numbering; only 3, bicubic, is supported.
    public var resample = 3
    /// The mean of red, green and blue in 0…1.
    public var imageMean = [0.48145466, 0.4578275, 0.40821073]
    /// The standard deviation of red, green and blue in 0…1.
    public var imageStandardDeviation = [0.26862954, 0.26130258, 0.27577711]
    /// Whether the mean is subtracted and the difference divided by the deviation; only `true` is supported.
    public var normalizes = true

    /// The published configuration.
    public init() {}

    private enum CodingKeys: String, CodingKey {
        case size
        case cropSize = "crop_size"
        case resample
        case imageMean = "image_mean"
        case imageStandardDeviation = "image_std"
        case normalizes = "do_normalize"
    }

    /// Decodes the content of `preprocessor_config.json`; unknown fields are ignored.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        size = try container.side(.size)
        cropSize = try container.side(.cropSize)
        try container.read(.resample, into: &resample)
        try container.read(.imageMean, into: &imageMean)
        try container.read(.imageStandardDeviation, into: &imageStandardDeviation)
        try container.read(.normalizes, into: &normalizes)
    }

    /// Checks the values for sense and support.
    ///
    /// - Throws: `Owl2Error` (`invalidConfiguration`, or `unsupportedFormat` for a filter that is not supported) with
    ///   the field, what was expected and what was found.
    public func validate() throws {
        let sides = ImagePreprocessor.supportedImageSizes
        for (key, value) in [("size", size), ("crop_size", cropSize)] {
            guard let value, !sides.contains(value) else { continue }
            throw Self.invalid(key, "is \(value), expected a side of \(sides.lowerBound) to \(sides.upperBound) pixels")
        }
        if let size, let cropSize, size != cropSize {
            throw Self.invalid("crop_size", "is \(cropSize), but 'size' is \(size): expected the same")
        }
        guard resample == 3 else {
            let names = ["nearest", "Lanczos", "bilinear", "bicubic", "box", "Hamming"]
            let name = names.indices.contains(resample) ? " (\(names[resample]))" : ""
            throw Owl2Error(
                .unsupportedFormat,
                "preprocessor_config.json: 'resample' is \(resample)\(name), only 3 (bicubic) is supported",
                subject: "resample")
        }
        guard normalizes else { throw Self.invalid("do_normalize", "is false, only true is supported") }
        for (key, values) in [("image_mean", imageMean), ("image_std", imageStandardDeviation)]
        where values.count != 3 || !values.allSatisfy({ Float($0).isFinite }) {
            throw Self.invalid(key, "is \(values), expected three numbers")
        }
        guard imageMean.allSatisfy({ (0...1).contains($0) }) else {
            throw Self.invalid("image_mean", "is \(imageMean), expected three numbers from 0 to 1")
        }
        guard imageStandardDeviation.allSatisfy({ Float($0) >= .leastNormalMagnitude }) else {
            throw Self.invalid("image_std", "is \(imageStandardDeviation), expected three numbers greater than 0")
        }
    }

    private static func invalid(_ key: String, _ what: String) -> Owl2Error {
        Owl2Error(.invalidConfiguration, "preprocessor_config.json: '\(key)' \(what)", subject: key)
    }
}

extension KeyedDecodingContainer {
    /// The side of a square: a plain integer, `{"shortest_edge": n}` or `{"height": n, "width": n}`; nil where the key is
    /// absent or null.
    fileprivate func side(_ key: Key) throws -> Int? {
        guard contains(key), try !decodeNil(forKey: key) else { return nil }
        guard let object = try? nestedContainer(keyedBy: SideKeys.self, forKey: key) else {
            return try number(key)
        }
        if object.contains(.shortestEdge), try !object.decodeNil(forKey: .shortestEdge) {
            return try object.number(.shortestEdge)
        }
        let height = try object.number(.height)
        let width = try object.number(.width)
        guard height == width else {
            throw DecodingError.dataCorruptedError(
                forKey: .width, in: object, debugDescription: "expected a square, found \(width) x \(height)")
        }
        return height
    }

    /// An integer that must be there.
    private func number(_ key: Key) throws -> Int {
        var value = 0
        try read(key, into: &value)
        // `read` takes an absent key for a default, so that asking once more is what names it.
        return try contains(key) && !decodeNil(forKey: key) ? value : decode(Int.self, forKey: key)
    }
}

private enum SideKeys: String, CodingKey {
    case shortestEdge = "shortest_edge"
    case height
    case width
}

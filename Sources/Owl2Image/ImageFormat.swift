import Owl2Core

/// What kind of file the first bytes announce.
enum ImageFormat: Equatable {
    case png
    case jpeg
    /// A format that is known by name, but not supported.
    case unsupported(String)
    case unknown

    init(_ bytes: UnsafeRawBufferPointer) {
        func has(_ signature: String, at offset: Int = 0) -> Bool {
            let wanted = signature.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
            return bytes.count >= offset + wanted.count
                && bytes[offset..<offset + wanted.count].elementsEqual(wanted)
        }
        if has("\u{89}PNG\r\n\u{1A}\n") {
            self = .png
        } else if has("\u{FF}\u{D8}\u{FF}") {
            self = .jpeg
        } else if let known = Self.others.first(where: { has($0.signature, at: $0.offset) }) {
            self = .unsupported(known.name)
        } else {
            self = .unknown
        }
    }

    private static let others: [(signature: String, offset: Int, name: String)] = [
        ("GIF8", 0, "GIF"), ("WEBP", 8, "WebP"), ("BM", 0, "BMP"), ("II*\0", 0, "TIFF"), ("MM\0*", 0, "TIFF"),
        ("ftypavi", 4, "AVIF"), ("ftypheic", 4, "HEIC"), ("ftypheix", 4, "HEIC"), ("ftypmif1", 4, "HEIF"),
        ("\0\0\0\u{0C}jP  ", 0, "JPEG 2000"), ("\u{FF}O\u{FF}Q", 0, "JPEG 2000"), ("\u{FF}\n", 0, "JPEG XL"),
        ("\0\0\0\u{0C}JXL ", 0, "JPEG XL"), ("8BPS", 0, "Photoshop"), ("\0\0\u{01}\0", 0, "icon"), ("qoif", 0, "QOI"),
        ("%PDF", 0, "PDF"), ("P3", 0, "PPM"), ("P5", 0, "PGM"), ("P6", 0, "PPM"), ("<svg", 0, "SVG"),
        ("<?xml", 0, "XML"),
    ]
}

extension ImageFormat {
    /// Decodes a file of a supported format.
    ///
    /// - Parameter file: The bytes of the file, under the name that errors give it.
    /// - Throws: `Owl2Error` when the format is not supported or the content is corrupt; `CancellationError`.
    static func decode(_ file: ByteRegion) throws -> Picture {
        guard file.count > 0 else {
            throw Owl2Error(.malformedFile, "\(file.name): the file is empty, expected a picture", subject: file.name)
        }
        switch ImageFormat(file.bytes) {
        case .png:
            return try PNGDecoder.decode(file)
        case .jpeg:
            return try JPEGDecoder.decode(file)
        case .unsupported(let format):
            throw Owl2Error(
                .unsupportedFormat, "\(file.name): \(format) files are not supported, only PNG and JPEG",
                subject: file.name)
        case .unknown:
            throw Owl2Error(
                .unsupportedFormat, "\(file.name): this is no picture of a known format; PNG and JPEG are supported",
                subject: file.name)
        }
    }
    /// How a file's EXIF data say that its picture is turned; upright, if they say nothing.
    ///
    /// - Throws: `CancellationError`.
    static func orientation(of file: ByteRegion) throws -> Orientation {
        let exif =
            switch ImageFormat(file.bytes) {
            case .png: PNGDecoder.exif(in: file.bytes)
            case .jpeg: try JPEGStructure(file.bytes).exif
            case .unsupported, .unknown: UnsafeRawBufferPointer?.none
            }
        return exif.map(Orientation.init(exif:)) ?? .upright
    }
}

import Owl2Core

/// JPEG to 8-bit RGB by TurboJPEG with its default settings, which gives Pillow's pixels.
enum JPEGDecoder {
    /// Pixels that are decoded whatever the size of the file is.
    private static let alwaysAcceptedPixels = 1 << 22
    /// No Huffman-coded file has more pixels than this for each of its bytes: 8 blocks of 64, one bit each, of a
    /// component that is at least a quarter of the picture.
    private static let mostPixelsPerByte = 8 * 64 * 4
    /// Pixels times scans that are decoded: 50 scans of the largest picture.
    private static let mostScannedPixels = 50 * PictureLimits.pixelCount

    static func decode(_ file: ByteRegion) throws -> Picture {
        try decode(file, with: TurboJPEG.installed)
    }

    /// Decodes with a library, which a test may choose.
    static func decode(_ file: ByteRegion, with library: Result<TurboJPEG, Owl2Error>) throws -> Picture {
        let library = try named(library, file)
        let structure = try JPEGStructure(file.bytes)
        try check(structure, file)
        let picture = try Picture(width: structure.width, height: structure.height, name: file.name)
        let bytes = file.bytes.assumingMemoryBound(to: UInt8.self)
        if structure.componentCount != 4 {
            let message = library.decode(
                bytes, into: picture.pixels, width: picture.width, height: picture.height, format: .rgb)
            try judge(message, file)
        } else {
            let inks = UnsafeMutablePointer<UInt8>.allocate(capacity: picture.width * picture.height * 4)
            defer { inks.deallocate() }
            let message = library.decode(
                bytes, into: inks, width: picture.width, height: picture.height, format: .cmyk)
            try judge(message, file)
            try convert(inks, to: picture)
        }
        return picture
    }

    private static func named(_ library: Result<TurboJPEG, Owl2Error>, _ file: ByteRegion) throws -> TurboJPEG {
        do {
            return try library.get()
        } catch {
            throw Owl2Error(error.code, "\(file.name): \(error.message)", subject: file.name, underlyingError: error)
        }
    }

    private static func check(_ structure: JPEGStructure, _ file: ByteRegion) throws {
        guard structure.componentCount > 0 else { throw corrupt(file, "the file ends in front of the picture's size") }
        try PictureLimits.check(width: structure.width, height: structure.height, name: file.name)
        guard [1, 3, 4].contains(structure.componentCount) else {
            throw Owl2Error(
                .unsupportedFormat,
                "\(file.name): JPEG with \(structure.componentCount) components, expected 1 (grey), 3 (RGB) or 4 (CMYK)",
                subject: file.name)
        }
        guard structure.isComplete else { throw corrupt(file, "the file is truncated") }
        let pixels = structure.width * structure.height
        guard
            pixels <= alwaysAcceptedPixels || !structure.usesHuffmanCoding
                || pixels / mostPixelsPerByte <= file.count
        else {
            throw corrupt(
                file,
                "\(file.count) bytes cannot hold the \(structure.width) x \(structure.height) pixels of the header")
        }
        guard pixels <= mostScannedPixels / structure.scanCount else {
            throw corrupt(
                file, "\(structure.scanCount) scans of \(structure.width) x \(structure.height) pixels are too many")
        }
    }

    /// Throws if the library failed; a warning of corrupt data in a complete file is passed over, as Pillow does.
    private static func judge(_ message: String?, _ file: ByteRegion) throws {
        // How the messages of libjpeg's warnings begin. The library's own code for a warning also stands for an error
        // that came behind a warning.
        let warnings = [
            "Corrupt JPEG data", "Premature end of JPEG file", "Inconsistent progression", "Invalid SOS parameters",
            "Unknown Adobe color transform", "Warning:",
        ]
        guard let message, !warnings.contains(where: message.hasPrefix) else { return }
        throw corrupt(file, message)
    }

    /// Inks, stored inverted as Adobe does it, to RGB: what ink leaves of white, less what black takes of that.
    private static func convert(_ inks: UnsafeMutablePointer<UInt8>, to picture: Picture) throws {
        var source = inks
        var target = picture.pixels
        for _ in 0..<picture.height {
            try Task.checkCancellation()
            for _ in 0..<picture.width {
                let light = UInt32(source[3])
                for channel in 0..<3 {
                    let product = UInt32(255 - source[channel]) * light + 128
                    target[channel] = UInt8(light - (product >> 8 + product) >> 8)
                }
                source += 4
                target += 3
            }
        }
    }

    private static func corrupt(_ file: ByteRegion, _ what: String) -> Owl2Error {
        Owl2Error(.malformedFile, "\(file.name): corrupt JPEG: \(what)", subject: file.name)
    }
}

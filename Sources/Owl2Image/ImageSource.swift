import Owl2Core

/// A picture whose bytes are at hand: a file is mapped, so that what is looked at first is what is decoded later.
package struct ImageSource: Sendable {
    enum Content: Sendable {
        case file(ByteRegion)
        case rgb8([UInt8], width: Int, height: Int)
    }

    let content: Content
    let name: String

    /// Maps the file of a picture, if it is one.
    ///
    /// - Throws: `Owl2Error` (`unreadableFile`) for a file that is not there or not a file.
    package init(_ image: Image) throws {
        name = image.name
        switch image {
        case .rgb8(let pixels, let width, let height):
            content = .rgb8(pixels, width: width, height: height)
        case .file(let url):
            guard url.isFileURL else {
                throw Owl2Error(
                    .unreadableFile, "cannot read \(image.name): it is not the URL of a file", subject: image.name)
            }
            content = .file(try ByteRegion(mappingFile: url.path))
        case .encoded(let data):
            content = .file(ByteRegion(name: image.name, copying: data))
        }
    }

    /// The digest of what the picture is made from: the bytes of its file, or its size and pixels.
    package func digest() -> SHA256.Digest {
        var hash = SHA256()
        switch content {
        case .file(let region):
            [UInt8(0)].withUnsafeBytes { hash.update($0) }
            withExtendedLifetime(region) { hash.update(region.bytes) }
        case .rgb8(let pixels, let width, let height):
            let size: [UInt64] = [1, UInt64(truncatingIfNeeded: width), UInt64(truncatingIfNeeded: height)]
            size.withUnsafeBytes { hash.update($0) }
            pixels.withUnsafeBytes { hash.update($0) }
        }
        return hash.finalize()
    }
}

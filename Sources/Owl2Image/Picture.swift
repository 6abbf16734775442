import Foundation
import Owl2Core

/// Decoded pixels that someone else holds: `[height, width, 3]` bytes, red, green and blue of each pixel.
struct PictureView {
    let pixels: UnsafePointer<UInt8>
    let width: Int
    let height: Int

    /// The bytes of a row.
    var rowBytes: Int { width * 3 }

    /// The first byte of a row.
    func row(_ y: Int) -> UnsafePointer<UInt8> { pixels + y * rowBytes }
}

/// Decoded pixels with the memory that holds them, `[height, width, 3]` bytes.
final class Picture {
    let width: Int
    let height: Int
    let pixels: UnsafeMutablePointer<UInt8>

    var view: PictureView { PictureView(pixels: pixels, width: width, height: height) }

    /// A picture whose pixels are yet to be written. The system gives its pages as they are touched.
    ///
    /// - Throws: `Owl2Error` for a size that is not supported, or when there is no memory.
    init(width: Int, height: Int, name: String) throws {
        try PictureLimits.check(width: width, height: height, name: name)
        guard let memory = malloc(width * height * 3) else {
            throw Owl2Error(.invalidInput, "\(name): no memory for \(width) x \(height) pixels", subject: name)
        }
        self.width = width
        self.height = height
        pixels = memory.assumingMemoryBound(to: UInt8.self)
    }

    deinit {
        free(pixels)
    }
}

/// The sizes of pictures that are accepted.
enum PictureLimits {
    static let pixelCount = 178_956_970
    static let edge = 1_000_000

    static func check(width: Int, height: Int, name: String) throws {
        guard width > 0, height > 0 else {
            throw Owl2Error(.malformedFile, "\(name): the picture has \(width) x \(height) pixels", subject: name)
        }
        let (count, overflow) = width.multipliedReportingOverflow(by: height)
        guard width <= edge, height <= edge, !overflow, count <= pixelCount else {
            throw Owl2Error(
                .unsupportedFormat,
                "\(name): the picture has \(width) x \(height) pixels, "
                    + "at most \(pixelCount) pixels and \(edge) a side are supported",
                subject: name)
        }
    }
}

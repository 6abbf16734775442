import Foundation
import Owl2Core

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The functions of libturbojpeg, which is looked up when the first JPEG is decoded, so that nothing but JPEG needs it.
struct TurboJPEG: Sendable {
    private typealias Initialize = @convention(c) () -> UnsafeMutableRawPointer?
    private typealias Decompress =
        @convention(c) (
            UnsafeMutableRawPointer, UnsafePointer<UInt8>, CUnsignedLong, UnsafeMutablePointer<UInt8>, CInt, CInt,
            CInt, CInt, CInt
        ) -> CInt
    private typealias ErrorText = @convention(c) (UnsafeMutableRawPointer) -> UnsafePointer<CChar>?
    private typealias Destroy = @convention(c) (UnsafeMutableRawPointer) -> CInt

    private let initialize: Initialize
    private let decompress: Decompress
    private let errorText: ErrorText
    private let destroy: Destroy

    /// The layout of decoded pixels, in the library's numbering.
    enum PixelFormat: CInt {
        case rgb = 0
        case cmyk = 11

        var bytesPerPixel: Int { self == .rgb ? 3 : 4 }
    }

    #if canImport(Darwin)
        static let fileNames = [
            "libturbojpeg.0.dylib", "libturbojpeg.dylib", "/opt/homebrew/opt/jpeg-turbo/lib/libturbojpeg.dylib",
            "/usr/local/opt/jpeg-turbo/lib/libturbojpeg.dylib",
        ]
        static let installation = "brew install jpeg-turbo"
    #else
        static let fileNames = ["libturbojpeg.so.0"]
        static let installation = "apt-get install libturbojpeg0"
    #endif

    /// The installed library, or why there is none.
    static let installed = Result { () throws(Owl2Error) in try TurboJPEG(fileNames: fileNames) }

    /// Opens the first library of the names that there is.
    ///
    /// - Throws: `Owl2Error` (`missingLibrary`), with what to install.
    init(fileNames: [String]) throws(Owl2Error) {
        for name in fileNames {
            guard let library = dlopen(name, RTLD_NOW | RTLD_LOCAL) else { continue }
            if let initialize = dlsym(library, "tjInitDecompress"), let decompress = dlsym(library, "tjDecompress2"),
                let errorText = dlsym(library, "tjGetErrorStr2"), let destroy = dlsym(library, "tjDestroy")
            {
                self.initialize = unsafeBitCast(initialize, to: Initialize.self)
                self.decompress = unsafeBitCast(decompress, to: Decompress.self)
                self.errorText = unsafeBitCast(errorText, to: ErrorText.self)
                self.destroy = unsafeBitCast(destroy, to: Destroy.self)
                return  // The library stays open for as long as the program runs.
            }
            dlclose(library)
        }
        throw Owl2Error(
            .missingLibrary,
            "JPEG pictures need libturbojpeg (2.0 or later), which is not installed: \(Self.installation)",
            subject: "libturbojpeg")
    }

    /// Decodes a whole picture.
    ///
    /// - Parameters:
    ///   - bytes: The file.
    ///   - pixels: Room for the picture, rows without gaps.
    ///   - width: The width of the file's picture, in pixels.
    ///   - height: Its height.
    ///   - format: The layout of the pixels.
    /// - Returns: What the library said of the file, an error or its first warning, or `nil` if all was well.
    func decode(
        _ bytes: UnsafeBufferPointer<UInt8>, into pixels: UnsafeMutablePointer<UInt8>, width: Int, height: Int,
        format: PixelFormat
    ) -> String? {
        guard let start = bytes.baseAddress, let handle = initialize() else { return "cannot start the decoder" }
        defer { _ = destroy(handle) }
        let limitScans: CInt = 32768
        let status = decompress(
            handle, start, CUnsignedLong(bytes.count), pixels, CInt(width), CInt(width * format.bytesPerPixel),
            CInt(height), format.rawValue, limitScans)
        return status == 0 ? nil : errorText(handle).map { String(cString: $0) } ?? "unknown error"
    }
}

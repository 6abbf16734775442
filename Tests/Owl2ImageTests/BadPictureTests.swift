import Foundation
import Owl2Core
import Owl2TestSupport
import Testing

@testable import Owl2Image

/// Pictures that are no pictures: each is one clear error.
struct BadPictureTests {
    /// First bytes of formats that are known by name; a dot stands for zero.
    @Test(arguments: [
        ("GIF89a.", "GIF"), ("RIFF....WEBPVP8 ", "WebP"), ("BM..", "BMP"), ("II*.", "TIFF"), ("MM.*", "TIFF"),
        ("%PDF-1", "PDF"), ("<svg xmlns", "SVG"), ("P6 1 1 255 ", "PPM"), ("....ftypavif", "AVIF"),
        ("....ftypheic", "HEIC"),
    ])
    func otherFormatsAreNamed(start: String, format: String) {
        let bytes = start.utf8.map { $0 == UInt8(ascii: ".") ? 0 : $0 }
        expectError(.unsupportedFormat, "x.png: \(format) files are not supported, only PNG and JPEG") {
            try decode(bytes, name: "x.png")
        }
    }

    @Test func unknownBytesAndNoBytes() {
        expectError(.unsupportedFormat, "x.png: this is no picture of a known format; PNG and JPEG are supported") {
            try decode([1, 2, 3], name: "x.png")
        }
        expectError(.malformedFile, "x.png: the file is empty, expected a picture") { try decode([], name: "x.png") }
        expectError(.malformedFile, "encoded image: the file is empty") {
            try ImagePreprocessor(imageSize: 4)(.encoded(Data()))
        }
    }

    @Test func filesThatCannotBeRead() throws {
        let directory = try TemporaryDirectory()
        let preprocessor = try ImagePreprocessor(imageSize: 4)
        expectError(.unreadableFile, directory.url.path, "it is a directory") { try preprocessor(.file(directory.url)) }
        let absent = directory.url.appendingPathComponent("absent.png")
        expectError(.unreadableFile, absent.path, "No such file") { try preprocessor(.file(absent)) }
        let empty = directory.url.appendingPathComponent("empty.png")
        try Data().write(to: empty)
        expectError(.malformedFile, empty.path, "empty") { try preprocessor(.file(empty)) }
        let remote = try #require(URL(string: "https://example.org/a.png"))
        expectError(.unreadableFile, "https://example.org/a.png", "not the URL of a file") {
            try preprocessor(.file(remote))
        }
    }

    @Test(.enabled(if: getuid() != 0, "the superuser may read every file"))
    func aFileWithoutPermission() throws {
        let directory = try TemporaryDirectory()
        let file = directory.url.appendingPathComponent("secret.png")
        try Data(Fixtures.picture("rgb-8.png")).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: file.path)
        expectError(.unreadableFile, file.path, "Permission denied") {
            try ImagePreprocessor(imageSize: 4)(.file(file))
        }
    }

    @Test func rawPixelsMustFitTheirSize() throws {
        let preprocessor = try ImagePreprocessor(imageSize: 4)
        expectError(.invalidInput, "2 x 2 pixels need 12 bytes, found 11") {
            try preprocessor(.rgb8([UInt8](repeating: 0, count: 11), width: 2, height: 2))
        }
        for (width, height) in [(0, 4), (4, 0), (-1, 4), (Int.min, Int.min)] {
            expectError(.invalidInput, "\(width) x \(height) pixels, expected at least 1 x 1") {
                try preprocessor(.rgb8([], width: width, height: height))
            }
        }
        for (width, height) in [(Int.max, Int.max), (Int.max, 1), (65_000, 65_000)] {
            expectError(.unsupportedFormat, "\(width) x \(height) pixels, at most 178956970") {
                try preprocessor(.rgb8([], width: width, height: height))
            }
        }
    }

    @Test func aMissingLibraryIsNamed() throws {
        let missing = Result { () throws(Owl2Error) in try TurboJPEG(fileNames: ["libabsent.so.9"]) }
        let file = ByteRegion(name: "x.jpg", copying: try Fixtures.picture("420.jpg"))
        #if os(Linux)
            let installation = "apt-get install libturbojpeg0"
        #else
            let installation = "brew install jpeg-turbo"
        #endif
        expectError(.missingLibrary, "x.jpg: JPEG pictures need libturbojpeg", installation) {
            try JPEGDecoder.decode(file, with: missing)
        }
    }

    /// A library that is there, but is another one.
    @Test func aLibraryWithoutTheFunctionsIsNone() {
        expectError(.missingLibrary, "libturbojpeg") { try TurboJPEG(fileNames: ["libm.so.6"]) }
    }
}

import Foundation
import Owl2Core
import Testing

@testable import Owl2Image

/// Files to pixels, compared with Pillow's.
struct PictureTests {
    private func check(_ expected: Expected.File) throws {
        let picture = try decode(Fixtures.picture(expected.file))
        #expect(picture.width == expected.width && picture.height == expected.height)
        #expect(hex(picture.bytes) == expected.pixels)
    }

    @Test(arguments: try Fixtures.pictures(".png"))
    func everyKindOfPNG(expected: Expected.File) throws {
        try check(expected)
    }

    @Test(needsTurboJPEG, arguments: try Fixtures.pictures(".jpg"))
    func everyKindOfJPEG(expected: Expected.File) throws {
        try check(expected)
    }

    @Test func allKindsAreThere() throws {
        let names = Set(try Fixtures.expected().pictures.map(\.file))
        let kinds: [(String, [Int])] = [
            ("grey", [1, 2, 4, 8, 16]), ("rgb", [8, 16]), ("palette", [1, 2, 4, 8]), ("grey-alpha", [8, 16]),
            ("rgba", [8, 16]),
        ]
        for (kind, depths) in kinds {
            for depth in depths {
                #expect(names.contains("\(kind)-\(depth).png") && names.contains("\(kind)-\(depth)-interlaced.png"))
            }
        }
        for sampling in ["444", "422", "420", "440", "411", "grey"] {
            #expect(names.contains("\(sampling).jpg") && names.contains("\(sampling)-progressive.jpg"))
        }
    }

    @Test func anIndexPastThePaletteIsBlack() throws {
        let indices: [UInt8] = [0, 0, 1, 2, 255]  // a filter type, and four pixels
        let file = PNGBuilder.file(
            PNGBuilder.header(width: 4, height: 1, color: 3), PNGBuilder.chunk("PLTE", [1, 2, 3, 4, 5, 6]),
            PNGBuilder.chunk("IDAT", PNGBuilder.stored(indices)))
        #expect(try decode(file).bytes == [1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0])
    }

    @Test func gammaAndTextChangeNothing() throws {
        let pixels: [UInt8] = [0, 10, 20, 30]
        let plain = [PNGBuilder.header(width: 1, height: 1), PNGBuilder.chunk("IDAT", PNGBuilder.stored(pixels))]
        let gamma = PNGBuilder.chunk("gAMA", [0, 0, 0x27, 0x10])
        #expect(try decode(PNGBuilder.file(plain[0], plain[1])).bytes == [10, 20, 30])
        #expect(
            try decode(PNGBuilder.file(plain[0], gamma, plain[1], PNGBuilder.chunk("tEXt", [65, 0, 66]))).bytes == [
                10, 20, 30,
            ])
    }

    @Test func pixelsInSeveralChunks() throws {
        let stream = PNGBuilder.stored([0, 1, 2, 3, 4, 5, 6])
        let parts = stream.map { PNGBuilder.chunk("IDAT", [$0]) }.flatMap { $0 }
        #expect(try decode(PNGBuilder.file(PNGBuilder.header(width: 2, height: 1), parts)).bytes == [1, 2, 3, 4, 5, 6])
    }

    @Test func theContentTellsTheFormat() throws {
        let directory = try TemporaryDirectory()
        let file = directory.url.appendingPathComponent("picture.jpg")
        let bytes = try Fixtures.picture("rgb-8.png")
        try Data(bytes).write(to: file)
        let preprocessor = try ImagePreprocessor(imageSize: 14)
        #expect(try preprocessor(.file(file)).values == preprocessor(.encoded(Data(bytes))).values)
    }

    @Test func aFileItsBytesAndItsPixelsAreTheSamePicture() throws {
        let expected = try #require(Fixtures.pictures("rgb-8.png").first)
        let picture = try decode(Fixtures.picture(expected.file))
        let preprocessor = try ImagePreprocessor(imageSize: 14)
        let raw = try preprocessor(.rgb8(picture.bytes, width: picture.width, height: picture.height))
        #expect(raw.size == 14 && raw.values.count == 3 * 14 * 14)
        #expect(try preprocessor(.file(Fixtures.url("pictures/rgb-8.png"))).values == raw.values)
    }
}

/// The EXIF orientation.
struct OrientationTests {
    private func check(_ expected: Expected.File) throws {
        let upright = try #require(expected.upright)
        let file = ByteRegion(name: expected.file, copying: try Fixtures.picture(expected.file))
        let turned = try ImageFormat.orientation(of: file).apply(to: ImageFormat.decode(file), name: expected.file)
        #expect(Expected.Pixels(width: turned.width, height: turned.height, pixels: hex(turned.bytes)) == upright)
    }

    @Test(arguments: try Fixtures.pictures(".png").filter { $0.upright != nil })
    func everyOrientation(expected: Expected.File) throws {
        try check(expected)
    }

    @Test(needsTurboJPEG, arguments: try Fixtures.pictures(".jpg").filter { $0.upright != nil })
    func orientationOfJPEG(expected: Expected.File) throws {
        try check(expected)
    }

    @Test(arguments: ImageFit.allCases)
    func onlyOnRequest(fit: ImageFit) throws {
        let preprocessor = try ImagePreprocessor(imageSize: 8)
        let expected = try #require(Fixtures.pictures("orientation-6.png").first)
        let upright = try #require(expected.upright)
        func raw(_ width: Int, _ height: Int, _ pixels: String) throws -> [Float] {
            let digits = Array(pixels.utf8)
            let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
                UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
            }
            return try preprocessor(.rgb8(bytes, width: width, height: height), fit: fit).values
        }
        let image = Image.file(try Fixtures.url("pictures/\(expected.file)"))
        let asStored = try raw(expected.width, expected.height, expected.pixels)
        let turned = try raw(upright.width, upright.height, upright.pixels)
        #expect(asStored != turned)
        #expect(try preprocessor(image, fit: fit).values == asStored)
        #expect(try preprocessor(image, fit: fit, honorsOrientation: true).values == turned)
    }

    /// Whatever is wrong in EXIF data means an upright picture: every prefix, and every byte changed.
    @Test func brokenDataMeanUpright() throws {
        let sound: [UInt8] = [0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0]
        func orientation(_ bytes: [UInt8]) -> Orientation { bytes.withUnsafeBytes { Orientation(exif: $0) } }
        #expect(orientation(sound) == .rotateClockwise)
        for count in 0..<20 { #expect(orientation(Array(sound.prefix(count))) == .upright, "\(count) bytes") }
        var turned = 0
        for index in 0..<18 {
            for value in UInt8.min...UInt8.max where value != sound[index] {
                var bytes = sound
                bytes[index] = value
                turned += orientation(bytes) == .upright ? 0 : 1
            }
        }
        #expect(turned < 1000)  // more entries than there are, and unread bytes, do no harm
    }
}

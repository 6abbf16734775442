import Owl2Core
import Owl2TestSupport
import Testing

@testable import Owl2Image

/// PNG files that are cut off, changed, or claim what they do not have.
struct CorruptPNGTests {
    private static let files = [
        "rgb-8.png", "rgba-16-interlaced.png", "palette-2.png", "grey-1-interlaced.png", "palette-too-short.png",
    ]

    /// A file without its end marker still has all of its pixels, and Pillow shows it, too.
    @Test(arguments: files)
    func truncatedAtEveryLength(name: String) throws {
        let whole = try Fixtures.picture(name)
        let pixels = try decode(whole).bytes
        let endMarker = 12
        for count in 0..<whole.count - endMarker {
            let code: Owl2Error.Code = (1..<8).contains(count) ? .unsupportedFormat : .malformedFile
            expectError(code, "cut.png: ") { try decode(Array(whole.prefix(count)), name: "cut.png") }
        }
        for count in whole.count - endMarker..<whole.count {
            #expect(try decode(Array(whole.prefix(count))).bytes == pixels)
        }
    }

    /// Each bit in front of the end marker is under a checksum, or is a length or a checksum itself.
    @Test(arguments: files)
    func everyChangedBitIsFound(name: String) throws {
        let whole = try Fixtures.picture(name)
        for bit in 8 * 8..<8 * (whole.count - 12) {
            var changed = whole
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            expectError(.malformedFile, "corrupt PNG") { try decode(changed) }
        }
    }

    /// With checksums that agree, other bits make another picture or an error, whose size is that of the header.
    @Test(arguments: files)
    func changedBitsUnderGoodChecksums(name: String) throws {
        let whole = try Fixtures.picture(name)
        var (shown, refused) = (0, 0)
        for bit in 8 * 8..<8 * whole.count {
            var changed = whole
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            do {
                let picture = try decode(PNGBuilder.repairingChecksums(changed))
                #expect(picture.bytes.count == picture.width * picture.height * 3)
                #expect(picture.width == changed[16..<20].reduce(0) { $0 << 8 | Int($1) })
                shown += 1
            } catch let error as Owl2Error {
                #expect(error.message.hasPrefix("picture: ") && !error.message.contains("\n"))
                refused += 1
            }
        }
        #expect(shown > 0 && refused > 0)
    }

    @Test func checksumErrorsAreNamed() throws {
        var header = PNGBuilder.file(PNGBuilder.header(width: 1, height: 1))
        header[29] ^= 1
        expectError(.malformedFile, "corrupt PNG", "IHDR", "CRC") { try decode(header) }
        let pixels = PNGBuilder.chunk("IDAT", PNGBuilder.stored([0, 1, 2, 3]))
        var data = PNGBuilder.file(PNGBuilder.header(width: 1, height: 1), pixels)
        data[data.count - 13] ^= 1
        expectError(.malformedFile, "corrupt PNG", "IDAT", "CRC") { try decode(data) }
    }

    /// What a header claims is refused before any memory is taken for it.
    @Test(
        arguments: [
            (65_000, 65_000), (178_956_971, 1), (1, 1_000_001), (0x7FFF_FFFF, 1), (0x7FFF_FFFF, 0x7FFF_FFFF),
        ] as [(UInt32, UInt32)])
    func sizesBeyondTheLimits(width: UInt32, height: UInt32) {
        let file = PNGBuilder.file(
            PNGBuilder.header(width: width, height: height), PNGBuilder.chunk("IDAT", PNGBuilder.stored([0])))
        #expect(throws: Owl2Error.self) { try decode(file) }
        #expect(throws: Owl2Error.self) {
            try ImagePreprocessor(imageSize: 4)(.rgb8([0], width: Int(width), height: Int(height)))
        }
    }

    @Test func theLimitIsNamed() {
        let file = PNGBuilder.file(PNGBuilder.header(width: 65_000, height: 65_000), PNGBuilder.chunk("IDAT", [0]))
        expectError(.unsupportedFormat, "65000 x 65000 pixels", "178956970") { try decode(file) }
    }

    @Test func moreThanTheFileCanHold() {
        let file = PNGBuilder.file(
            PNGBuilder.header(width: 13_000, height: 13_000), PNGBuilder.chunk("IDAT", PNGBuilder.stored([0])))
        expectError(.malformedFile, "bytes cannot hold the 13000 x 13000 pixels of the header") { try decode(file) }
    }

    @Test(arguments: [(0, 1), (1, 0), (0, 0), (0x8000_0000, 1), (1, 0xFFFF_FFFF)] as [(UInt32, UInt32)])
    func sizesThatAreNone(width: UInt32, height: UInt32) {
        let file = PNGBuilder.file(
            PNGBuilder.header(width: width, height: height), PNGBuilder.chunk("IDAT", PNGBuilder.stored([0])))
        expectError(.malformedFile, "corrupt PNG") { try decode(file) }
    }

    @Test func chunksThatMakeNoSense() {
        let header = PNGBuilder.header(width: 1, height: 1)
        let pixels = PNGBuilder.chunk("IDAT", PNGBuilder.stored([0, 1, 2, 3]))
        let cases: [[UInt8]] = [
            PNGBuilder.signature,
            PNGBuilder.file(),
            PNGBuilder.file(header),
            PNGBuilder.file(pixels, header),
            PNGBuilder.file(header, header, pixels),
            PNGBuilder.file(header, PNGBuilder.chunk("WHAT", [1]), pixels),
            PNGBuilder.file(header, PNGBuilder.chunk("IDAT", [0x78, 1, 1], claimedLength: .max)),
            PNGBuilder.file(header, PNGBuilder.chunk("IDAT", [])),
            PNGBuilder.file(header, PNGBuilder.chunk("IDAT", PNGBuilder.stored([0, 1, 2]))),
            PNGBuilder.file(header, PNGBuilder.chunk("IDAT", PNGBuilder.stored([9, 1, 2, 3]))),
            PNGBuilder.file(header, PNGBuilder.chunk("IDAT", [1, 2, 3, 4, 5, 6])),
            PNGBuilder.file(PNGBuilder.header(width: 1, height: 1, depth: 3), pixels),
            PNGBuilder.file(PNGBuilder.header(width: 1, height: 1, depth: 4), pixels),
            PNGBuilder.file(PNGBuilder.header(width: 1, height: 1, color: 5), pixels),
            PNGBuilder.file(PNGBuilder.header(width: 1, height: 1, interlacing: 2), pixels),
            PNGBuilder.file(PNGBuilder.header(width: 1, height: 1, color: 3), pixels),
            PNGBuilder.file(
                PNGBuilder.header(width: 1, height: 1, color: 3), PNGBuilder.chunk("PLTE", [1, 2]), pixels),
        ]
        for (index, file) in cases.enumerated() {
            do {
                let picture = try decode(file)
                Issue.record("case \(index) gives \(picture.bytes)")
            } catch let error as Owl2Error {
                #expect(
                    error.code == .malformedFile && error.message.contains("corrupt PNG"), "case \(index): \(error)")
            } catch {
                Issue.record("case \(index): \(error)")
            }
        }
    }
}

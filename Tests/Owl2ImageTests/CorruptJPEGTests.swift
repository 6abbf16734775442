import Owl2Core
import Owl2TestSupport
import Testing

@testable import Owl2Image

/// JPEG files that are cut off, changed, or claim what they do not have.
@Suite(needsTurboJPEG)
struct CorruptJPEGTests {
    private static let files = ["420.jpg", "444-progressive.jpg", "cmyk-420.jpg", "grey.jpg", "restarts.jpg"]

    /// The file with another size in its header.
    private func resized(_ name: String, width: Int, height: Int) throws -> [UInt8] {
        var bytes = try Fixtures.picture(name)
        let frame = try #require(bytes.indices.first { bytes[$0] == 0xFF && [0xC0, 0xC2].contains(bytes[$0 + 1]) })
        bytes.replaceSubrange(
            frame + 5..<frame + 9, with: [height, width].flatMap { [UInt8($0 >> 8 & 255), UInt8($0 & 255)] })
        return bytes
    }

    @Test(arguments: files)
    func truncatedAtEveryLength(name: String) throws {
        let whole = try Fixtures.picture(name)
        for count in 0..<whole.count {
            let code: Owl2Error.Code = (1..<3).contains(count) ? .unsupportedFormat : .malformedFile
            expectError(code, "cut.jpg: ") { try decode(Array(whole.prefix(count)), name: "cut.jpg") }
        }
    }

    /// A changed file is an error or a picture of the size in its header, corrupt pixels included, as in Pillow.
    @Test(.timeLimit(.minutes(2)), arguments: files)
    func changedBits(name: String) throws {
        let whole = try Fixtures.picture(name)
        var (shown, refused) = (0, 0)
        for bit in 0..<8 * whole.count {
            var changed = whole
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            do {
                let picture = try decode(changed)
                #expect(picture.bytes.count == picture.width * picture.height * 3)
                shown += 1
            } catch let error as Owl2Error {
                #expect(error.message.hasPrefix("picture: ") && !error.message.contains("\n"))
                refused += 1
            }
        }
        #expect(shown > 0 && refused > 0)
    }

    /// What a header claims is refused before any memory is taken for it.
    @Test func sizesBeyondTheLimits() throws {
        let huge = try resized("420.jpg", width: 65_000, height: 65_000)
        expectError(.unsupportedFormat, "65000 x 65000 pixels", "178956970") { try decode(huge) }
        let large = try resized("420.jpg", width: 13_000, height: 13_000)
        expectError(.malformedFile, "bytes cannot hold the 13000 x 13000 pixels of the header") { try decode(large) }
        let progressive = try resized("444-progressive.jpg", width: 13_000, height: 13_000)
        expectError(.malformedFile, "13000 x 13000") { try decode(progressive) }
    }

    @Test(arguments: [(0, 13), (19, 0), (0, 0)])
    func sizesThatAreNone(width: Int, height: Int) throws {
        let file = try resized("420.jpg", width: width, height: height)
        expectError(.malformedFile, "\(width) x \(height)") { try decode(file) }
    }

    @Test func otherNumbersOfComponentsAreNamed() {
        let frame: [UInt8] = [0xFF, 0xC0, 0, 14, 8, 0, 4, 0, 4, 2, 1, 0x11, 0, 2, 0x11, 0]
        let file: [UInt8] = [0xFF, 0xD8] + frame + [0xFF, 0xDA, 0, 2, 0xFF, 0xD9]
        expectError(.unsupportedFormat, "JPEG with 2 components, expected 1 (grey), 3 (RGB) or 4 (CMYK)") {
            try decode(file)
        }
    }

    @Test func twelveBitsAreAnError() throws {
        var file = try Fixtures.picture("420.jpg")
        let frame = try #require(file.indices.first { file[$0] == 0xFF && file[$0 + 1] == 0xC0 })
        file[frame + 4] = 12
        expectError(.malformedFile, "corrupt JPEG: ", "precision 12") { try decode(file) }
    }

    @Test func segmentsThatMakeNoSense() {
        let start: [UInt8] = [0xFF, 0xD8]
        let cases: [[UInt8]] = [
            start + [0xFF, 0xD9],
            start + [0xFF, 0xE0, 0, 0, 0xFF, 0xD9],
            start + [0xFF, 0xE0, 0, 1, 0xFF, 0xD9],
            start + [0xFF, 0xC0, 0xFF, 0xFF, 8, 0, 1, 0, 1, 1],
            start + [0xFF, 0xDA, 0, 2, 0xFF, 0xD9],
            start + [UInt8](repeating: 0xFF, count: 1000),
            start + (0..<1000).flatMap { _ in [0xFF, 0xD8] as [UInt8] },
        ]
        for file in cases {
            expectError(.malformedFile, "corrupt JPEG: ") { try decode(file) }
        }
    }
}

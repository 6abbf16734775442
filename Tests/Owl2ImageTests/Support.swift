import Foundation
import Owl2Core
import Testing

@testable import Owl2Image

/// What `make_fixtures.py` wrote: pictures, and what Pillow and NumPy made of them.
struct Expected: Decodable, Sendable {
    struct Pixels: Decodable, Sendable, Equatable {
        let width: Int
        let height: Int
        let pixels: String
    }

    struct File: Decodable, Sendable, CustomTestStringConvertible {
        let file: String
        let width: Int
        let height: Int
        /// `[height, width, 3]` bytes in hexadecimal.
        let pixels: String
        /// The pixels after the EXIF orientation was applied.
        let upright: Pixels?

        var testDescription: String { file }
    }

    struct Fit: Decodable, Sendable, CustomTestStringConvertible {
        let width: Int
        let height: Int
        let seed: UInt64
        let size: Int
        let fit: ImageFit
        /// FNV-1a of the square's bytes, and of its normalised values.
        let bytes: String
        let floats: String

        var testDescription: String { "\(width) x \(height) to \(size), \(fit.rawValue)" }
    }

    let pictures: [File]
    let fits: [Fit]
    /// Every byte in every channel, normalised: `[3, 256]` of Float32.
    let normalized: String
}

enum Fixtures {
    static func url(_ path: String) throws -> URL {
        try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/\(path)")
    }

    static func expected() throws -> Expected {
        try JSONDecoder().decode(Expected.self, from: Data(contentsOf: url("expected.json")))
    }

    /// The pictures of a format, by the ends of their names. None would be no test, so that is an error.
    static func pictures(_ suffix: String) throws -> [Expected.File] {
        let pictures = try expected().pictures.filter { $0.file.hasSuffix(suffix) }
        try #require(!pictures.isEmpty)
        return pictures
    }

    static func picture(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: url("pictures/\(name)")))
    }
}

let isTurboJPEGInstalled =
    switch TurboJPEG.installed {
    case .success: true
    case .failure: false
    }

/// The trait of tests that decode JPEG pictures.
let needsTurboJPEG = ConditionTrait.enabled(
    if: isTurboJPEGInstalled, "libturbojpeg is not installed: apt-get install libturbojpeg0")

/// Decodes bytes as the preprocessor does, to a picture whose memory is its own.
func decode(_ bytes: [UInt8], name: String = "picture") throws -> Picture {
    try ImageFormat.decode(ByteRegion(name: name, copying: bytes))
}

extension Picture {
    var bytes: [UInt8] { Array(UnsafeBufferPointer(start: pixels, count: width * height * 3)) }
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

/// FNV-1a of 64 bits.
func fnv(_ bytes: some Sequence<UInt8>) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

func littleEndianBytes(_ values: [Float]) -> [UInt8] {
    values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }
}

/// The same bytes as in `make_fixtures.py`.
func noise(width: Int, height: Int, seed: UInt64) -> [UInt8] {
    var state = seed
    return (0..<width * height * 3).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(state >> 56)
    }
}

/// A directory of its own, removed at the end.
final class TemporaryDirectory {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("owl2-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        do { try FileManager.default.removeItem(at: url) } catch { Issue.record(error) }
    }
}

import COwl2PNGReader
import Owl2Core

/// PNG to 8-bit RGB by libpng, with the pixels that Pillow's `convert("RGB")` gives.
enum PNGDecoder {
    /// Deflate never makes more than this many bytes of one.
    private static let largestDeflateRatio = 1032

    static func decode(_ file: ByteRegion) throws -> Picture {
        var message = [CChar](repeating: 0, count: Int(OWL2_PNG_MESSAGE_SIZE))
        var header = owl2_png_header()
        guard
            let start = file.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
            let reader = owl2_png_open(start, file.count, &header, &message)
        else { throw corrupt(file, message) }
        defer { owl2_png_close(reader) }
        let width = Int(header.width)
        let height = Int(header.height)
        try PictureLimits.check(width: width, height: height, name: file.name)
        let rowBytes = (width * Int(header.bits_per_pixel) + 7) / 8
        guard rowBytes * height / largestDeflateRatio <= file.count else {
            throw Owl2Error(
                .malformedFile,
                "\(file.name): corrupt PNG: \(file.count) bytes cannot hold the \(width) x \(height) pixels of the header",
                subject: file.name)
        }
        let picture = try Picture(width: width, height: height, name: file.name)
        if header.pass_count == 1 {
            for y in 0..<height {
                try readRow(of: reader, into: picture.pixels + y * width * 3, width, file, &message)
            }
        } else {
            try readInterlaced(reader, passes: header.pass_count, into: picture, file, &message)
        }
        return picture
    }

    private static func readInterlaced(
        _ reader: OpaquePointer, passes: UInt32, into picture: Picture, _ file: ByteRegion, _ message: inout [CChar]
    ) throws {
        let row = UnsafeMutablePointer<UInt8>.allocate(capacity: picture.width * 3)
        defer { row.deallocate() }
        for index in 0..<passes {
            let pass = owl2_png_pass_geometry(reader, index)
            guard pass.width > 0 else { continue }
            for j in 0..<Int(pass.height) {
                try readRow(of: reader, into: row, Int(pass.width), file, &message)
                let y = Int(pass.first_row) + j * Int(pass.row_step)
                var target = picture.pixels + (y * picture.width + Int(pass.first_column)) * 3
                for x in 0..<Int(pass.width) {
                    target.update(from: row + 3 * x, count: 3)
                    target += 3 * Int(pass.column_step)
                }
            }
        }
    }

    private static func readRow(
        of reader: OpaquePointer, into row: UnsafeMutablePointer<UInt8>, _ width: Int, _ file: ByteRegion,
        _ message: inout [CChar]
    ) throws {
        try Task.checkCancellation()
        guard owl2_png_read_row(reader, row, UInt32(width), &message) != 0 else { throw corrupt(file, message) }
    }

    private static func corrupt(_ file: ByteRegion, _ message: [CChar]) -> Owl2Error {
        let text = String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return Owl2Error(.malformedFile, "\(file.name): corrupt PNG: \(text)", subject: file.name)
    }
}

extension PNGDecoder {
    /// The EXIF data of the `eXIf` chunk, in front of or behind the pixels, if there is one.
    static func exif(in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        var position = 8
        while position + 12 <= bytes.count {
            let length = Int(bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self).bigEndian)
            let content = position + 8
            guard length <= bytes.count - content else { return nil }
            if bytes[position + 4..<content].elementsEqual("eXIf".utf8) {
                return UnsafeRawBufferPointer(rebasing: bytes[content..<content + length])
            }
            position = content + length + 4
        }
        return nil
    }
}

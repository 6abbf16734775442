import Owl2Core

/// How a picture must be turned to stand upright: the EXIF tag `Orientation`, named by what is done to the pixels.
enum Orientation: Int, CaseIterable {
    case upright = 1
    case flipHorizontal = 2
    case rotateHalf = 3
    case flipVertical = 4
    case transpose = 5
    case rotateClockwise = 6
    case transverse = 7
    case rotateCounterclockwise = 8

    /// Reads the tag from EXIF data, a TIFF header and its first directory. Whatever is wrong there means upright.
    init(exif bytes: UnsafeRawBufferPointer) {
        self = Self.tagValue(in: bytes).flatMap(Self.init(rawValue:)) ?? .upright
    }

    private static func tagValue(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= 8 else { return nil }
        let littleEndian = bytes[0] == UInt8(ascii: "I")
        guard bytes[0] == bytes[1], littleEndian || bytes[0] == UInt8(ascii: "M") else { return nil }
        /// The unsigned integer of some bytes at an offset, if it is within the data.
        func integer(at offset: Int, byteCount: Int) -> Int? {
            guard offset >= 0, offset <= bytes.count - byteCount else { return nil }
            let field = bytes[offset..<offset + byteCount]
            return littleEndian
                ? field.reversed().reduce(0) { $0 << 8 | Int($1) } : field.reduce(0) { $0 << 8 | Int($1) }
        }
        guard integer(at: 2, byteCount: 2) == 42, let directory = integer(at: 4, byteCount: 4),
            let entryCount = integer(at: directory, byteCount: 2)
        else { return nil }
        for index in 0..<entryCount {
            let entry = directory + 2 + 12 * index
            guard let tag = integer(at: entry, byteCount: 2) else { return nil }
            guard tag == 0x0112 else { continue }
            let byteCounts = [1: 1, 3: 2, 4: 4]  // BYTE, SHORT, LONG
            guard let type = integer(at: entry + 2, byteCount: 2), let byteCount = byteCounts[type],
                integer(at: entry + 4, byteCount: 4) == 1
            else { return nil }
            return integer(at: entry + 8, byteCount: byteCount)
        }
        return nil
    }

    private var swapsAxes: Bool { rawValue >= Orientation.transpose.rawValue }

    /// The picture, turned upright.
    ///
    /// - Throws: `Owl2Error` when there is no memory; `CancellationError`.
    func apply(to picture: Picture, name: String) throws -> Picture {
        guard self != .upright else { return picture }
        let (width, height) = (picture.width, picture.height)
        let turned = try Picture(width: swapsAxes ? height : width, height: swapsAxes ? width : height, name: name)
        let (lastX, lastY) = (width - 1, height - 1)
        // The source of pixel (x, y) of the turned picture is at first + x * stepX + y * stepY.
        let (firstX, firstY, alongRow, alongColumn): (Int, Int, Int, Int) =
            switch self {
            case .upright: (0, 0, 1, width)
            case .flipHorizontal: (lastX, 0, -1, width)
            case .rotateHalf: (lastX, lastY, -1, -width)
            case .flipVertical: (0, lastY, 1, -width)
            case .transpose: (0, 0, width, 1)
            case .rotateClockwise: (0, lastY, -width, 1)
            case .transverse: (lastX, lastY, -width, -1)
            case .rotateCounterclockwise: (lastX, 0, width, -1)
            }
        var target = turned.pixels
        for y in 0..<turned.height {
            try Task.checkCancellation()
            var source = firstY * width + firstX + y * alongColumn
            for _ in 0..<turned.width {
                target.update(from: picture.pixels + 3 * source, count: 3)
                target += 3
                source += alongRow
            }
        }
        return turned
    }
}

import Owl2Core

/// What the markers of a JPEG file say, read without decoding any pixel.
struct JPEGStructure {
    private(set) var width = 0
    private(set) var height = 0
    private(set) var componentCount = 0
    private(set) var scanCount = 0
    /// Whether the file goes on to the end of the pixels: to the marker behind the only scan, or to the end marker.
    private(set) var isComplete = false
    /// Whether the pixels are coded with Huffman tables, so that each 8x8 block takes at least a bit.
    private(set) var usesHuffmanCoding = true
    /// The EXIF data, a TIFF header and directories, if there are any.
    private(set) var exif: UnsafeRawBufferPointer?

    private enum Marker {
        static let endOfImage: UInt8 = 0xD9
        static let startOfScan: UInt8 = 0xDA
        static let exif: UInt8 = 0xE1
        /// Markers without a segment: TEM, restarts and the start of the image.
        static func isAlone(_ marker: UInt8) -> Bool { marker == 0x01 || (0xD0...0xD8).contains(marker) }
        static func isRestart(_ marker: UInt8) -> Bool { (0xD0...0xD7).contains(marker) }
        /// Starts of frames, except for the table segments DHT, JPG and DAC between them.
        static func isFrame(_ marker: UInt8) -> Bool {
            (0xC0...0xCF).contains(marker) && ![0xC4, 0xC8, 0xCC].contains(marker)
        }
    }

    /// Reads the markers as far as the file goes. A file that ends too early leaves `isComplete` false.
    ///
    /// - Throws: `CancellationError`.
    init(_ bytes: UnsafeRawBufferPointer) throws {
        var position = 2
        var hasSeveralScans = false
        while let marker = Self.nextMarker(in: bytes, at: &position) {
            try Task.checkCancellation()
            if marker == Marker.endOfImage {
                isComplete = scanCount > 0
                return
            }
            if Marker.isAlone(marker) { continue }
            guard position + 2 <= bytes.count else { return }
            let length = Int(bytes[position]) << 8 | Int(bytes[position + 1])
            guard length >= 2, position + length <= bytes.count else { return }
            let segment = UnsafeRawBufferPointer(rebasing: bytes[position + 2..<position + length])
            position += length
            if Marker.isFrame(marker), width == 0, segment.count >= 6 {
                height = Int(segment[1]) << 8 | Int(segment[2])
                width = Int(segment[3]) << 8 | Int(segment[4])
                componentCount = Int(segment[5])
                hasSeveralScans = ![0xC0, 0xC1, 0xC9].contains(marker)
                usesHuffmanCoding = marker < 0xC8
            } else if marker == Marker.exif, exif == nil, segment.starts(with: "Exif\0\0".utf8) {
                exif = UnsafeRawBufferPointer(rebasing: segment[6...])
            } else if marker == Marker.startOfScan, let first = segment.first {
                scanCount += 1
                hasSeveralScans = hasSeveralScans || Int(first) < componentCount
                let ended = Self.skipScan(in: bytes, at: &position)
                guard hasSeveralScans else {
                    isComplete = ended
                    return
                }
            }
        }
    }

    /// Goes behind the next marker. Fill bytes and bytes that belong to no segment are passed over.
    private static func nextMarker(in bytes: UnsafeRawBufferPointer, at position: inout Int) -> UInt8? {
        while position + 1 < bytes.count {
            let (first, second) = (bytes[position], bytes[position + 1])
            if first == 0xFF, second != 0, second != 0xFF {
                position += 2
                return second
            }
            position += 1
        }
        return nil
    }

    /// Goes in front of the marker that ends the coded pixels of a scan.
    ///
    /// - Returns: Whether there is one.
    private static func skipScan(in bytes: UnsafeRawBufferPointer, at position: inout Int) -> Bool {
        while let marker = nextMarker(in: bytes, at: &position) {
            guard Marker.isRestart(marker) else {
                position -= 2
                return true
            }
        }
        return false
    }
}

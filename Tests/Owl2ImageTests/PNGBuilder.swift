/// Assembles PNG files, also such as no tool would write.
enum PNGBuilder {
    static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    static func bigEndian(_ value: UInt32) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    /// A chunk with its checksum.
    static func chunk(_ kind: String, _ content: [UInt8], claimedLength: UInt32? = nil) -> [UInt8] {
        let body = Array(kind.utf8) + content
        return bigEndian(claimedLength ?? UInt32(content.count)) + body + bigEndian(checksum(body))
    }

    static func header(
        width: UInt32, height: UInt32, depth: UInt8 = 8, color: UInt8 = 2, interlacing: UInt8 = 0
    ) -> [UInt8] {
        chunk("IHDR", bigEndian(width) + bigEndian(height) + [depth, color, 0, 0, interlacing])
    }

    /// Bytes in a zlib stream of one stored block.
    static func stored(_ bytes: [UInt8]) -> [UInt8] {
        var (low, high): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            low = (low + UInt32(byte)) % 65521
            high = (high + low) % 65521
        }
        let count = UInt16(bytes.count)
        let lengths = [count, ~count].flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
        return [0x78, 0x01, 0x01] + lengths + bytes + bigEndian(high << 16 | low)
    }

    /// A whole file of chunks.
    static func file(_ chunks: [UInt8]...) -> [UInt8] {
        signature + chunks.flatMap { $0 } + chunk("IEND", [])
    }

    /// The file with the checksum that each chunk should have, as far as there are whole chunks.
    static func repairingChecksums(_ file: [UInt8]) -> [UInt8] {
        var file = file
        var position = 8
        while position + 12 <= file.count {
            let length = file[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
            let end = position + 8 + length
            guard end + 4 <= file.count else { break }
            file.replaceSubrange(end..<end + 4, with: bigEndian(checksum(file[position + 4..<end])))
            position = end + 4
        }
        return file
    }

    /// CRC-32 as PNG has it.
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { value, _ in value >> 1 ^ (value & 1 == 0 ? 0 : 0xEDB8_8320) }
        }
    }
}

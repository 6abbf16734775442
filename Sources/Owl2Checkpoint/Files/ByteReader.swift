import Owl2Core

/// Reads little-endian numbers and runs of bytes one after the other, and never past the end.
struct ByteReader {
    let region: ByteRegion
    /// The place of the next byte to read.
    private(set) var offset: Int

    /// The number of bytes that are left.
    var remainingCount: Int { region.count - offset }

    /// A reader that starts at a byte offset, which may come from the file itself.
    init(_ region: ByteRegion, at offset: Int = 0) throws {
        guard offset >= 0, offset <= region.count else {
            throw Owl2Error(
                .malformedFile, "\(region.name): offset \(offset) is outside of the \(region.count) bytes",
                subject: region.name)
        }
        self.region = region
        self.offset = offset
    }

    /// The next `count` bytes.
    mutating func take(_ count: Int, _ what: @autoclosure () -> String) throws -> ByteRegion {
        guard count >= 0, count <= remainingCount else {
            throw Owl2Error(
                .malformedFile,
                "\(region.name): \(what()) at byte \(offset) needs \(count) bytes, \(remainingCount) are left",
                subject: region.name)
        }
        defer { offset += count }
        return region[offset..<offset + count]
    }

    /// The next number, stored little-endian.
    mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(
        _ type: Number.Type, _ what: @autoclosure () -> String
    ) throws -> Number {
        let taken = try take(MemoryLayout<Number>.size, what())
        return Number(littleEndian: taken.bytes.loadUnaligned(as: Number.self))
    }

    /// The next number, stored little-endian, where `Int` can hold it.
    mutating func integer<Number: FixedWidthInteger & BitwiseCopyable>(
        _ type: Number.Type, _ what: @autoclosure () -> String
    ) throws -> Int {
        let value = try number(type, what())
        guard let integer = Int(exactly: value) else {
            throw Owl2Error(
                .malformedFile, "\(region.name): \(what()) is \(value), which no file can have", subject: region.name)
        }
        return integer
    }

    /// The next `count` bytes as UTF-8.
    mutating func string(_ count: Int, _ what: @autoclosure () -> String) throws -> String {
        let start = offset
        let taken = try take(count, what())
        guard let text = String(validating: taken.bytes, as: UTF8.self) else {
            throw Owl2Error(
                .malformedFile, "\(region.name): \(what()) at byte \(start) is not valid UTF-8", subject: region.name)
        }
        return text
    }

    /// The text up to the next line feed, which is consumed.
    mutating func line(_ what: @autoclosure () -> String) throws -> String {
        let length = region.bytes[offset...].firstIndex(of: 0x0A).map { $0 - offset }
        let text = try string(length ?? remainingCount, what())
        _ = try take(1, what())
        return text
    }
}

import Owl2Core

/// The members of a zip archive whose content is stored as it is, found through the central directory.
///
/// Sizes come from the central directory alone: PyTorch leaves those in local headers zero, and writes zip64 records.
struct ZipArchive {
    private struct Member {
        var size: UInt64
        var storedSize: UInt64
        var headerOffset: UInt64
        let flags: UInt16
        let method: UInt16
    }

    private struct Directory {
        var offset: UInt64
        var size: UInt64
        var count: UInt64
    }

    private let region: ByteRegion
    private var members: [String: Member] = [:]
    private var directoryOffset = 0

    /// The names of all members, in no order.
    var names: some Sequence<String> { members.keys }

    /// Reads the central directory.
    init(_ region: ByteRegion) throws {
        self.region = region
        let end = try Self.endRecordOffset(in: region)
        let (directory, limit) = try Self.directory(in: region, endRecordAt: end)
        guard let start = Int(exactly: directory.offset), let size = Int(exactly: directory.size),
            start <= limit, size <= limit - start
        else {
            throw Self.malformed(
                region, "the central directory of \(directory.size) bytes at \(directory.offset) is not inside the file"
            )
        }
        directoryOffset = start
        var reader = try ByteReader(region[start..<start + size])
        while reader.remainingCount > 0 {
            let (name, member) = try Self.member(from: &reader)
            guard members.updateValue(member, forKey: name) == nil else {
                throw Self.malformed(region, "the archive has two members '\(name)'")
            }
        }
        guard UInt64(members.count) == directory.count else {
            throw Self.malformed(region, "the archive has \(members.count) members, its end claims \(directory.count)")
        }
    }

    /// The content of a member, where it lies in the file.
    func member(_ name: String) throws -> ByteRegion {
        guard let member = members[name] else {
            throw Self.malformed(region, "the archive has no member '\(name)'")
        }
        try checkKind(of: member, name: name)
        guard let headerOffset = Int(exactly: member.headerOffset), let size = Int(exactly: member.size) else {
            throw Self.malformed(region, "member '\(name)' claims \(member.size) bytes at \(member.headerOffset)")
        }
        var header = try ByteReader(region, at: headerOffset)
        guard let fields = try LocalHeader(from: &header), fields.name == name else {
            throw Self.malformed(region, "there is no header of member '\(name)' at byte \(headerOffset)")
        }
        guard fields.method == member.method, fields.flags == member.flags, fields.agrees(withSize: member.size) else {
            throw Self.malformed(region, "the header of member '\(name)' contradicts the central directory")
        }
        guard header.offset <= directoryOffset, size <= directoryOffset - header.offset else {
            throw Self.malformed(
                region, "member '\(name)' claims \(size) bytes at \(header.offset), past the \(directoryOffset) of data"
            )
        }
        return try header.take(size, "member '\(name)'")
    }

    private func checkKind(of member: Member, name: String) throws {
        var reason: String?
        if member.flags & 0x2041 != 0 {
            reason = "encrypted"
        } else if member.method != 0 {
            reason = "compressed (method \(member.method))"
        }
        if let reason {
            throw Owl2Error(
                .unsupportedFormat,
                "\(region.name): member '\(name)' is \(reason); expected it stored, as PyTorch does",
                subject: region.name)
        }
        guard member.size == member.storedSize else {
            throw Self.malformed(
                region, "stored member '\(name)' claims \(member.size) bytes and \(member.storedSize) in the archive")
        }
    }

    private static func malformed(_ region: ByteRegion, _ reason: String) -> Owl2Error {
        Owl2Error(.malformedFile, "\(region.name): \(reason)", subject: region.name)
    }
}

/// The header in front of a member's content.
private struct LocalHeader {
    let flags: UInt16
    let method: UInt16
    let storedSize: UInt32
    let size: UInt32
    let name: String

    /// Reads the header and leaves the reader at the content; nil where there is none.
    init?(from reader: inout ByteReader) throws {
        let what = "a member's header"
        guard try reader.number(UInt32.self, what) == 0x0403_4B50 else { return nil }
        _ = try reader.take(2, what)
        flags = try reader.number(UInt16.self, what)
        method = try reader.number(UInt16.self, what)
        _ = try reader.take(8, what)
        storedSize = try reader.number(UInt32.self, what)
        size = try reader.number(UInt32.self, what)
        let nameLength = try reader.integer(UInt16.self, what)
        let extraLength = try reader.integer(UInt16.self, what)
        name = try reader.string(nameLength, "a member's name")
        _ = try reader.take(extraLength, what)
    }

    /// Whether the sizes, where this header has any, are the central directory's.
    func agrees(withSize expected: UInt64) -> Bool {
        let isElsewhere = flags & 0x0008 != 0 || size == .max || storedSize == .max
        return isElsewhere || (UInt64(size) == expected && UInt64(storedSize) == expected)
    }
}

// MARK: - The central directory

extension ZipArchive {
    private static let endRecordSize = 22

    /// Where the end record starts: its comment must reach to the end of the file exactly.
    private static func endRecordOffset(in region: ByteRegion) throws -> Int {
        let last = region.count - endRecordSize
        let first = max(0, last - Int(UInt16.max))
        for offset in stride(from: last, through: first, by: -1) {
            let signature = UInt32(littleEndian: region.bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            guard signature == 0x0605_4B50 else { continue }
            let comment = region.bytes.loadUnaligned(fromByteOffset: offset + 20, as: UInt16.self)
            if Int(UInt16(littleEndian: comment)) == last - offset { return offset }
        }
        throw malformed(region, "the end of the zip archive is missing: the file is truncated, or something follows it")
    }

    /// The place of the central directory, and the offset at which it must have ended.
    private static func directory(in region: ByteRegion, endRecordAt end: Int) throws -> (Directory, limit: Int) {
        var reader = try ByteReader(region, at: end)
        let what = "the end of the zip archive"
        _ = try reader.take(4, what)
        let disks = (try reader.number(UInt16.self, what), try reader.number(UInt16.self, what))
        let countHere = try reader.number(UInt16.self, what)
        let count = try reader.number(UInt16.self, what)
        let size = try reader.number(UInt32.self, what)
        let offset = try reader.number(UInt32.self, what)
        guard let (large, limit) = try largeDirectory(in: region, before: end) else {
            guard disks == (0, 0), countHere == count else { throw malformed(region, "the archive has several parts") }
            guard count != .max, size != .max, offset != .max else {
                throw malformed(region, "the zip64 record that the end of the archive refers to is missing")
            }
            return (Directory(offset: UInt64(offset), size: UInt64(size), count: UInt64(count)), end)
        }
        guard count == .max || UInt64(count) == large.count, size == .max || UInt64(size) == large.size,
            offset == .max || UInt64(offset) == large.offset
        else {
            throw malformed(region, "the zip64 record contradicts the end of the archive")
        }
        return (large, limit)
    }

    /// What the zip64 record says, where there is one.
    private static func largeDirectory(
        in region: ByteRegion, before end: Int
    ) throws -> (Directory, limit: Int)? {
        let locatorSize = 20
        guard end >= locatorSize else { return nil }
        var locator = try ByteReader(region, at: end - locatorSize)
        let what = "the zip64 record"
        guard try locator.number(UInt32.self, what) == 0x0706_4B50 else { return nil }
        _ = try locator.take(4, what)
        let place = try locator.integer(UInt64.self, what)
        guard place <= end - locatorSize else { throw malformed(region, "the zip64 record is said to be at \(place)") }

        var reader = try ByteReader(region[0..<end - locatorSize], at: place)
        guard try reader.number(UInt32.self, what) == 0x0606_4B50 else {
            throw malformed(region, "there is no zip64 record at byte \(place)")
        }
        let recordSize = try reader.integer(UInt64.self, what)
        guard recordSize >= 44, recordSize <= reader.remainingCount else {
            throw malformed(region, "the zip64 record claims \(recordSize) bytes")
        }
        _ = try reader.take(4, what)
        let disks = (try reader.number(UInt32.self, what), try reader.number(UInt32.self, what))
        let countHere = try reader.number(UInt64.self, what)
        let count = try reader.number(UInt64.self, what)
        guard disks == (0, 0), countHere == count else { throw malformed(region, "the archive has several parts") }
        let size = try reader.number(UInt64.self, what)
        let offset = try reader.number(UInt64.self, what)
        return (Directory(offset: offset, size: size, count: count), place)
    }

    /// The next entry of the central directory.
    private static func member(from reader: inout ByteReader) throws -> (name: String, Member) {
        let what = "an entry of the central directory"
        guard try reader.number(UInt32.self, what) == 0x0201_4B50 else {
            throw malformed(reader.region, "the central directory is corrupt")
        }
        _ = try reader.take(4, what)
        let flags = try reader.number(UInt16.self, what)
        let method = try reader.number(UInt16.self, what)
        _ = try reader.take(8, what)
        let storedSize = try reader.number(UInt32.self, what)
        let size = try reader.number(UInt32.self, what)
        let nameLength = try reader.integer(UInt16.self, what)
        let extraLength = try reader.integer(UInt16.self, what)
        let commentLength = try reader.integer(UInt16.self, what)
        _ = try reader.take(8, what)
        let headerOffset = try reader.number(UInt32.self, what)
        let name = try reader.string(nameLength, "a member's name")
        let extra = try reader.take(extraLength, what)
        _ = try reader.take(commentLength, what)
        var member = Member(
            size: UInt64(size), storedSize: UInt64(storedSize), headerOffset: UInt64(headerOffset), flags: flags,
            method: method)
        if size == .max || storedSize == .max || headerOffset == .max {
            try widen(&member, by: extra, name: name)
        }
        return (name, member)
    }

    /// Takes the fields that 32 bits cannot hold from the zip64 extra field.
    private static func widen(_ member: inout Member, by extra: ByteRegion, name: String) throws {
        let saturated = UInt64(UInt32.max)
        var reader = try ByteReader(extra)
        while reader.remainingCount > 0 {
            let identifier = try reader.number(UInt16.self, "an extra field")
            let length = try reader.integer(UInt16.self, "an extra field")
            let field = try reader.take(length, "an extra field")
            guard identifier == 1 else { continue }
            var values = try ByteReader(field)
            let what = "the zip64 field of member '\(name)'"
            if member.size == saturated { member.size = try values.number(UInt64.self, what) }
            if member.storedSize == saturated { member.storedSize = try values.number(UInt64.self, what) }
            if member.headerOffset == saturated { member.headerOffset = try values.number(UInt64.self, what) }
            return
        }
        throw malformed(extra, "member '\(name)' lacks the zip64 field that its entry refers to")
    }
}

import Owl2Checkpoint
import Owl2Core
import Owl2TestSupport
import Testing

/// The zip archive around a PyTorch file, sound and not.
struct ZipArchiveTests {
    static let values = floatBytes([1, 2, 3, 4])

    /// A file of one tensor 'w', of which `change` spoils something.
    static func file(_ change: (inout ZipBuilder) -> Void = { _ in }) -> [UInt8] {
        let program = PickleBuilder.dictionary {
            $0.text("w")
            $0.tensor(count: 4, shape: [2, 2], strides: [2, 1])
        }
        var builder = zipBuilder(program, storages: ["0": values])
        change(&builder)
        return builder.build()
    }

    static let sound: [(String, [UInt8])] = [
        ("as it is", file()),
        ("zip64 record", file { $0.isLarge = true }),
        ("zip64 fields", file { for index in $0.members.indices { $0.members[index].isLarge = true } }),
        ("comment", file { $0.comment = Array("a comment".utf8) }),
        ("sizes in the header", file { ($0.members[2].flags, $0.members[2].localSize) = (0, 16) }),
        ("sizes beyond 32 bits in the header", file { ($0.members[2].flags, $0.members[2].localSize) = (0, .max) }),
        ("compressed member that is not used", file { $0.members.append(.init(name: "x", content: [], method: 8)) }),
        ("no byte order", file { $0.members.remove(at: 1) }),
        (
            "deep prefix",
            file { for index in $0.members.indices { $0.members[index].name = "a/" + $0.members[index].name } }
        ),
    ]

    @Test(arguments: sound)
    func soundArchivesLoad(name: String, file: [UInt8]) throws {
        let tensor = try #require(try openPyTorch(file).tensors["w"])
        #expect(tensor.shape == [2, 2])
        #expect(tensor.contents().array == Self.values, "\(name)")
    }

    static let unsupported: [(String, [UInt8])] = [
        ("is compressed (method 8)", file { $0.members[2].method = 8 }),
        ("is compressed (method 8)", file { $0.members[0].method = 8 }),
        ("is encrypted", file { $0.members[2].flags = 1 }),
        ("is encrypted", file { $0.members[2].flags = 0x2000 }),
        ("another byte order", file { $0.members[1].content = Array("big".utf8) }),
    ]

    @Test(arguments: unsupported)
    func whatPyTorchDoesNotWriteIsRefused(reason: String, file: [UInt8]) {
        expectError(.unsupportedFormat, "memory/pytorch_model.bin", reason) { try openPyTorch(file) }
    }

    static let malformed: [(String, [UInt8])] = [
        ("no member 'archive/data/0'", file { $0.members.remove(at: 2) }),
        ("expected one member 'NAME/data.pkl', found 0", file { $0.members.remove(at: 0) }),
        ("found 0", file { $0.members[0].name = "data.pkl" }),
        ("found 2", file { $0.members.append(.init(name: "b/data.pkl", content: [])) }),
        ("two members 'archive/data/0'", file { $0.members.append($0.members[2]) }),
        ("found 0", ZipBuilder([]).build()),
        ("has 15 bytes, expected 4 elements", file { $0.members[2].content.removeLast() }),
        ("has 17 bytes, expected 4 elements", file { $0.members[2].content.append(0) }),
        ("past the", file { $0.members[2].claimedSize = 1 << 20 }),
        ("past the", file { ($0.members[2].isLarge, $0.members[2].claimedSize) = (true, 1 << 62) }),
        ("claims 18446744073709551615", file { ($0.members[2].isLarge, $0.members[2].claimedSize) = (true, .max) }),
        ("and 15 in the archive", file { $0.members[2].claimedStoredSize = 15 }),
        ("is outside of", file { $0.members[2].claimedOffset = 1 << 30 }),
        ("is outside of", file { ($0.members[2].isLarge, $0.members[2].claimedOffset) = (true, 1 << 62) }),
        ("claims 16 bytes at", file { ($0.members[2].isLarge, $0.members[2].claimedOffset) = (true, 1 << 63) }),
        ("no header of member 'archive/data/0'", file { $0.members[2].claimedOffset = 0 }),
        ("no header of member 'archive/data/0'", file { $0.members[2].claimedOffset = 1 }),
        ("no header of member 'archive/data/0'", file { $0.members[2].localName = "archive/data/1" }),
        ("contradicts the central directory", file { $0.members[2].localFlags = 1 }),
        ("contradicts the central directory", file { ($0.members[2].flags, $0.members[2].localSize) = (0, 12) }),
        ("lacks the zip64 field", file { ($0.members[2].isLarge, $0.members[2].hasLargeField) = (true, false) }),
        ("has 3 members, its end claims 4", file { $0.claimedCount = 4 }),
        ("its end claims 18446744073709551615", file { ($0.isLarge, $0.claimedCount) = (true, .max) }),
        ("is not inside the file", file { $0.claimedDirectoryOffset = 1 << 30 }),
        ("is not inside the file", file { ($0.isLarge, $0.claimedDirectoryOffset) = (true, .max) }),
        ("is not inside the file", file { ($0.isLarge, $0.claimedDirectorySize) = (true, 1 << 62) }),
        ("central directory is corrupt", file { $0.claimedDirectoryOffset = 3 }),
        ("the zip64 record is said to be at", file { ($0.isLarge, $0.claimedRecordOffset) = (true, 1 << 40) }),
        ("no zip64 record at byte 1", file { ($0.isLarge, $0.claimedRecordOffset) = (true, 1) }),
        ("which no file can have", file { ($0.isLarge, $0.claimedRecordOffset) = (true, .max) }),
        ("contradicts the end of the archive", file { ($0.isLarge, $0.claimedSmallCount) = (true, 2) }),
        (
            "zip64 record that the end of the archive refers to is missing",
            file { ($0.isLarge, $0.hasLargeRecord) = (true, false) }
        ),
        ("several parts", file { $0.claimedDisk = 1 }),
        ("the end of the zip archive is missing", file() + [0]),
        ("the end of the zip archive is missing", Array("PK".utf8)),
    ]

    @Test(arguments: malformed)
    func malformedArchivesAreErrors(reason: String, file: [UInt8]) {
        expectError(.malformedFile, "memory/pytorch_model.bin", reason) { try openPyTorch(file) }
    }
}

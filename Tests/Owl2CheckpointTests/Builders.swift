/// Assembles zip archives, also such as no tool would write.
struct ZipBuilder {
    struct Member {
        var name: String
        var content: [UInt8]
        var method: UInt16 = 0
        /// As PyTorch has it: UTF-8 names, sizes behind the content.
        var flags: UInt16 = 0x0808
        /// What the central directory claims where it lies; nil for the truth.
        var claimedSize: UInt64?
        var claimedStoredSize: UInt64?
        var claimedOffset: UInt64?
        var localName: String?
        var localFlags: UInt16?
        var localSize: UInt32 = 0
        /// Puts the sizes and the offset in a zip64 field.
        var isLarge = false
        var hasLargeField = true
    }

    var members: [Member] = []
    var isLarge = false
    var claimedCount: UInt64?
    var claimedDirectoryOffset: UInt64?
    var claimedDirectorySize: UInt64?
    var claimedRecordOffset: UInt64?
    var claimedSmallCount: UInt16?
    var claimedDisk: UInt16 = 0
    var comment: [UInt8] = []
    var hasLargeRecord = true

    init(_ members: [(String, [UInt8])]) {
        self.members = members.map { Member(name: $0.0, content: $0.1) }
    }

    func build() -> [UInt8] {
        var file: [UInt8] = []
        var directory: [UInt8] = []
        for member in members {
            directory += entry(of: member, at: UInt64(file.count))
            file += header(of: member) + member.content
        }
        let offset = claimedDirectoryOffset ?? UInt64(file.count)
        let size = claimedDirectorySize ?? UInt64(directory.count)
        let count = claimedCount ?? UInt64(members.count)
        file += directory
        if isLarge, hasLargeRecord {
            file += largeEnd(offset: offset, size: size, count: count, at: UInt64(file.count))
        }
        let smallCount = claimedSmallCount ?? (isLarge ? .max : UInt16(truncatingIfNeeded: count))
        file += [0x50, 0x4B, 5, 6] + littleEndian(claimedDisk) + littleEndian(claimedDisk)
        file += littleEndian(smallCount) + littleEndian(smallCount)
        file += littleEndian(isLarge ? .max : UInt32(truncatingIfNeeded: size))
        file += littleEndian(isLarge ? .max : UInt32(truncatingIfNeeded: offset))
        return file + littleEndian(UInt16(comment.count)) + comment
    }

    private func header(of member: Member) -> [UInt8] {
        let name = Array((member.localName ?? member.name).utf8)
        let flags = member.localFlags ?? member.flags
        let fixed = littleEndian(UInt16(45)) + littleEndian(flags) + littleEndian(member.method)
        let sizes = littleEndian(member.localSize) + littleEndian(member.localSize)
        let padding: [UInt8] = [0x46, 0x42, 2, 0, 0x5A, 0x5A]
        return [0x50, 0x4B, 3, 4] + fixed + [UInt8](repeating: 0, count: 8) + sizes
            + littleEndian(UInt16(name.count)) + littleEndian(UInt16(padding.count)) + name + padding
    }

    private func entry(of member: Member, at place: UInt64) -> [UInt8] {
        let name = Array(member.name.utf8)
        let size = member.claimedSize ?? UInt64(member.content.count)
        let storedSize = member.claimedStoredSize ?? size
        let offset = member.claimedOffset ?? place
        var extra: [UInt8] = []
        if member.isLarge, member.hasLargeField {
            extra =
                littleEndian(UInt16(1)) + littleEndian(UInt16(24))
                + littleEndian(size) + littleEndian(storedSize) + littleEndian(offset)
        }
        func small(_ value: UInt64) -> [UInt8] {
            littleEndian(member.isLarge ? .max : UInt32(truncatingIfNeeded: value))
        }
        var bytes: [UInt8] = [0x50, 0x4B, 1, 2, 0, 0, 45, 0]
        bytes += littleEndian(member.flags) + littleEndian(member.method) + [UInt8](repeating: 0, count: 8)
        bytes += small(storedSize) + small(size) + littleEndian(UInt16(name.count)) + littleEndian(UInt16(extra.count))
        return bytes + [UInt8](repeating: 0, count: 10) + small(offset) + name + extra
    }

    private func largeEnd(offset: UInt64, size: UInt64, count: UInt64, at place: UInt64) -> [UInt8] {
        var record: [UInt8] = [0x50, 0x4B, 6, 6] + littleEndian(UInt64(44)) + [45, 0, 45, 0]
        record += littleEndian(UInt32(0)) + littleEndian(UInt32(0)) + littleEndian(count) + littleEndian(count)
        record += littleEndian(size) + littleEndian(offset)
        record += [0x50, 0x4B, 6, 7] + littleEndian(UInt32(0)) + littleEndian(claimedRecordOffset ?? place)
        return record + littleEndian(UInt32(1))
    }
}

/// Assembles pickle programs of protocol 2.
struct PickleBuilder {
    private(set) var bytes: [UInt8] = [0x80, 2]

    mutating func operation(_ characters: String) { bytes += Array(characters.utf8) }
    mutating func raw(_ values: [UInt8]) { bytes += values }
    mutating func text(_ text: String) { bytes += [0x58] + littleEndian(UInt32(text.utf8.count)) + Array(text.utf8) }
    mutating func integer(_ value: Int) { bytes += [0x8A, 8] + littleEndian(Int64(value)) }
    mutating func global(_ module: String, _ name: String) { operation("c\(module)\n\(name)\n") }

    mutating func integers(_ values: [Int]) {
        operation("(")
        for value in values { integer(value) }
        operation("t")
    }

    /// Leaves a tensor on the stack.
    mutating func tensor(
        storage: String = "FloatStorage", key: String = "0", count: Int, offset: Int = 0, shape: [Int], strides: [Int]
    ) {
        global("torch._utils", "_rebuild_tensor_v2")
        operation("((")
        text("storage")
        global("torch", storage)
        text(key)
        text("cpu")
        integer(count)
        operation("tQ")
        integer(offset)
        integers(shape)
        integers(strides)
        raw([0x89])
        global("collections", "OrderedDict")
        operation(")RtR")
    }

    /// A program that leaves a dictionary of what `body` pushes: keys and values in turn.
    static func dictionary(_ body: (inout PickleBuilder) -> Void) -> [UInt8] {
        var builder = PickleBuilder()
        builder.operation("}(")
        body(&builder)
        builder.operation("u.")
        return builder.bytes
    }
}

/// A PyTorch file of a program and of storages by their keys.
func pyTorchFile(_ program: [UInt8], storages: [String: [UInt8]] = [:], prefix: String = "archive") -> [UInt8] {
    zipBuilder(program, storages: storages, prefix: prefix).build()
}

func zipBuilder(_ program: [UInt8], storages: [String: [UInt8]] = [:], prefix: String = "archive") -> ZipBuilder {
    let data = storages.sorted { $0.key < $1.key }.map { ("\(prefix)/data/\($0.key)", $0.value) }
    return ZipBuilder([("\(prefix)/data.pkl", program), ("\(prefix)/byteorder", Array("little".utf8))] + data)
}

/// Safetensors of a header as it is given, and of data.
func safetensors(_ header: String, data: [UInt8] = [], claimedLength: UInt64? = nil) -> [UInt8] {
    littleEndian(claimedLength ?? UInt64(header.utf8.count)) + Array(header.utf8) + data
}

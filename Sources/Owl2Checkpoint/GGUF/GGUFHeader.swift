import Owl2Core

/// Reads what stands in front of the elements: counts, metadata, and the tensors' names, shapes, types and places.
///
/// Nothing is allocated by what a count claims, and every sum and product of claimed numbers is checked.
struct GGUFHeader {
    static let magic = Array("GGUF".utf8)
    static let defaultAlignment = 32
    static let maximumRank = 4
    /// The longest name of a tensor, in bytes.
    static let maximumNameByteCount = 63
    /// The longest key, in bytes.
    static let maximumKeyByteCount = 65_535

    private struct Entry {
        let name: String
        let shape: [Int]
        let elementCount: Int
        let type: StoredType
        /// From the beginning of the data.
        let offset: Int
        let byteCount: Int
    }

    private let region: ByteRegion
    private var reader: ByteReader
    private(set) var version = 0
    private(set) var metadata: [String: GGUFValue] = [:]
    private var entries: [Entry] = []
    private var alignment = GGUFHeader.defaultAlignment

    init(_ region: ByteRegion) throws {
        self.region = region
        reader = try ByteReader(region)
    }

    /// Reads all of the header.
    mutating func read() throws {
        guard GGUFFile.isGGUF(region) else {
            throw malformed("is no GGUF file: expected it to begin with 'GGUF', found \(region.count) other bytes")
        }
        _ = try reader.take(Self.magic.count, "the magic number")
        try readVersion()
        let tensorCount = try count("tensors", smallestByteCount: 8 + 1 + 4 + 8 + 4 + 8)
        let keyCount = try count("keys", smallestByteCount: 8 + 1 + 4 + 1)
        for index in 0..<keyCount { try readKey(index) }
        try readAlignment()
        var names: Set<String> = []
        for index in 0..<tensorCount {
            let entry = try readEntry(index)
            guard names.insert(entry.name).inserted else {
                throw malformed("tensor '\(entry.name)' is there twice", subject: entry.name)
            }
            entries.append(entry)
        }
    }

    private mutating func readVersion() throws {
        let number = try reader.number(UInt32.self, "the version")
        guard number == 2 || number == 3 else {
            let isSwapped = (1...3).contains(number.byteSwapped)
            throw Owl2Error(
                .unsupportedFormat,
                "\(region.name): "
                    + (isSwapped
                        ? "a big-endian GGUF file, expected little-endian" : "GGUF version \(number), expected 2 or 3"),
                subject: region.name)
        }
        version = Int(number)
    }

    /// A count of things that take some bytes each; one that the file has no room for is an error.
    private mutating func count(_ what: String, smallestByteCount: Int) throws -> Int {
        let claimed = try reader.number(UInt64.self, "the number of \(what)")
        guard claimed <= UInt64(reader.remainingCount / smallestByteCount) else {
            throw malformed("\(claimed) \(what) are said to follow, \(reader.remainingCount) bytes are left")
        }
        return Int(claimed)
    }

    private func malformed(_ reason: String, subject: String? = nil) -> Owl2Error {
        Owl2Error(.malformedFile, "\(region.name): \(reason)", subject: subject ?? region.name)
    }
}

// MARK: - Metadata

extension GGUFHeader {
    private mutating func readKey(_ index: Int) throws {
        let length = try reader.integer(UInt64.self, "the length of key \(index)")
        guard (1...Self.maximumKeyByteCount).contains(length) else {
            throw malformed("key \(index) is said to have \(length) bytes, expected 1 to \(Self.maximumKeyByteCount)")
        }
        let key = try reader.string(length, "key \(index)")
        guard metadata[key] == nil else { throw malformed("the key '\(key)' is there twice", subject: key) }
        metadata[key] = try value(of: key)
    }

    private mutating func type(of key: String) throws -> GGUFType {
        let number = try reader.number(UInt32.self, "the type of key '\(key)'")
        guard let type = GGUFType(rawValue: number) else {
            throw malformed("the key '\(key)' has the unknown type \(number)", subject: key)
        }
        return type
    }

    private mutating func value(of key: String) throws -> GGUFValue {
        let type = try type(of: key)
        guard type == .array else {
            let start = reader.offset
            if let byteCount = type.byteCount {
                _ = try reader.take(byteCount, "the value of key '\(key)'")
            } else {
                try skipString(key)
            }
            return GGUFValue(type: type, arrayCount: nil, bytes: region[start..<reader.offset])
        }
        let elementType = try self.type(of: key)
        guard elementType != .array else {
            throw Owl2Error(
                .unsupportedFormat, "\(region.name): the key '\(key)' is an array of arrays, which is not supported",
                subject: key)
        }
        let count = try count("elements of key '\(key)'", smallestByteCount: elementType.byteCount ?? 8)
        let start = reader.offset
        if let byteCount = elementType.byteCount {
            // The count was compared with what is left: the product is a size.
            _ = try reader.take(count * byteCount, "the elements of key '\(key)'")
        } else {
            for _ in 0..<count { try skipString(key) }
        }
        return GGUFValue(type: elementType, arrayCount: count, bytes: region[start..<reader.offset])
    }

    private mutating func skipString(_ key: String) throws {
        let length = try reader.integer(UInt64.self, "the length of a string of key '\(key)'")
        _ = try reader.take(length, "a string of key '\(key)'")
    }

    private mutating func readAlignment() throws {
        guard let value = metadata["general.alignment"] else { return }
        guard let size = try Int(value), size > 0, size & (size - 1) == 0 else {
            let found = try Int(value).map { "\($0)" } ?? "a value of type \(value.typeName)"
            throw malformed(
                "the key 'general.alignment': expected a power of two, found \(found)", subject: "general.alignment")
        }
        alignment = size
    }
}

// MARK: - Tensors

extension GGUFHeader {
    private mutating func readEntry(_ index: Int) throws -> Entry {
        let length = try reader.integer(UInt64.self, "the length of the name of tensor \(index)")
        guard (1...Self.maximumNameByteCount).contains(length) else {
            throw malformed(
                "the name of tensor \(index) is said to have \(length) bytes, expected 1 to \(Self.maximumNameByteCount)"
            )
        }
        let name = try reader.string(length, "the name of tensor \(index)")
        let shape = try readShape(name)
        let number = try reader.number(UInt32.self, "the type of tensor '\(name)'")
        guard let type = StoredType.ofGGUF(number) else {
            throw Owl2Error(
                .unsupportedFormat,
                "\(region.name): tensor '\(name)' has the type \(StoredType.nameOfGGUF(number)), which is not supported",
                subject: name)
        }
        let offset = try reader.integer(UInt64.self, "the offset of tensor '\(name)'")
        guard offset % alignment == 0 else {
            throw malformed(
                "tensor '\(name)' is said to be at offset \(offset), expected a multiple of \(alignment)", subject: name
            )
        }
        guard let count = elementCount(ofShape: shape), let rowLength = shape.last,
            rowLength % type.blockElementCount == 0
        else {
            throw malformed(
                "tensor '\(name)' has the impossible shape \(shape) for type \(type.name)"
                    + (type.blockElementCount > 1 ? ", whose rows are multiples of \(type.blockElementCount)" : ""),
                subject: name)
        }
        let (byteCount, overflow) = (count / type.blockElementCount).multipliedReportingOverflow(by: type.byteCount)
        guard !overflow else { throw malformed("tensor '\(name)' is too large: shape \(shape)", subject: name) }
        return Entry(
            name: name, shape: shape, elementCount: count, type: type, offset: offset, byteCount: byteCount)
    }

    /// The dimensions, which the file has innermost first.
    private mutating func readShape(_ name: String) throws -> [Int] {
        let rank = try reader.number(UInt32.self, "the number of dimensions of tensor '\(name)'")
        guard rank >= 1, rank <= Self.maximumRank else {
            throw malformed(
                "tensor '\(name)' has \(rank) dimensions, expected 1 to \(Self.maximumRank)", subject: name)
        }
        var shape: [Int] = []
        for _ in 0..<rank { shape.append(try reader.integer(UInt64.self, "a dimension of tensor '\(name)'")) }
        guard shape.allSatisfy({ $0 > 0 }) else {
            throw malformed("tensor '\(name)' has a dimension of zero: \(Array(shape.reversed()))", subject: name)
        }
        return shape.reversed()
    }

    /// The tensors with their elements, which must lie in the file, padding included, and not on one another.
    func tensors(fileName: String) throws -> [StoredTensor] {
        let (start, startOverflow) = reader.offset.addingReportingOverflow(-reader.offset & (alignment - 1))
        let dataCount = startOverflow ? 0 : max(0, region.count - start)
        var end = 0
        for entry in entries.sorted(by: { ($0.offset, $0.byteCount) < ($1.offset, $1.byteCount) }) {
            guard entry.offset >= end else {
                throw malformed(
                    "tensor '\(entry.name)' begins at offset \(entry.offset), inside of the one before it, which ends at"
                        + " \(end)", subject: entry.name)
            }
            let (last, overflow) = entry.offset.addingReportingOverflow(entry.byteCount)
            let (padded, paddedOverflow) = last.addingReportingOverflow(-entry.byteCount & (alignment - 1))
            guard !overflow, !paddedOverflow, padded <= dataCount else {
                throw malformed(
                    "tensor '\(entry.name)' of \(entry.byteCount) bytes at offset \(entry.offset) reaches past the end of"
                        + " the \(dataCount) bytes of data; perhaps the file is cut off", subject: entry.name)
            }
            end = last
        }
        return entries.map { entry in
            StoredTensor(
                name: entry.name, shape: entry.shape, elementCount: entry.elementCount, type: entry.type,
                fileName: fileName, storage: region[start + entry.offset..<start + entry.offset + entry.byteCount])
        }
    }
}

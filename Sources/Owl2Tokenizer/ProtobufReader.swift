import Owl2Core

/// Reads the fields of one message in the wire format of Protocol Buffers, in order of appearance.
///
/// Every length is checked against the bytes that are there, and nothing is copied.
struct ProtobufReader {
    /// A field's content, as far as the wire format tells it.
    enum Value {
        case varint(UInt64)
        case fixed32(UInt32)
        case fixed64
        /// Offsets in the file: a string, bytes or a message.
        case bytes(Range<Int>)
    }

    /// One field of a message.
    struct Field {
        let number: UInt64
        /// Where the field begins in the file.
        let offset: Int
        let value: Value
    }

    let region: ByteRegion
    private var position: Int
    private let end: Int

    /// A reader of the message at the given offsets of the file.
    init(_ region: ByteRegion, _ range: Range<Int>) {
        self.region = region
        position = range.lowerBound
        end = range.upperBound
    }

    /// The next field, or nil at the end of the message.
    mutating func next() throws -> Field? {
        guard position < end else { return nil }
        let offset = position
        let tag = try varint()
        guard tag >> 3 > 0, tag >> 3 < 1 << 29 else {
            throw malformed("a protobuf field at byte \(offset) has the invalid number \(tag >> 3)")
        }
        let value: Value
        switch tag & 7 {
        case 0: value = .varint(try varint())
        case 1:
            _ = try take(8, what: "a fixed64")
            value = .fixed64
        case 2:
            let length = try varint()
            value = .bytes(try take(length, what: "field \(tag >> 3)"))
        case 5:
            let start = try take(4, what: "a float").lowerBound
            value = .fixed32(region.bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
        default: throw malformed("a protobuf field at byte \(offset) has the unsupported wire type \(tag & 7)")
        }
        return Field(number: tag >> 3, offset: offset, value: value)
    }

    private mutating func varint() throws -> UInt64 {
        let start = position
        var result: UInt64 = 0
        for index in 0..<10 {
            guard position < end else { throw malformed("a number at byte \(start) is cut off") }
            let byte = region.bytes[position]
            position += 1
            guard index < 9 || byte <= 1 else { break }
            result |= UInt64(byte & 0x7F) << UInt64(7 * index)
            if byte < 0x80 { return result }
        }
        throw malformed("a number at byte \(start) has more than 64 bits")
    }

    private mutating func take(_ length: UInt64, what: String) throws -> Range<Int> {
        guard length <= UInt64(end - position) else {
            throw malformed(
                "\(what) at byte \(position) says that it has \(length) bytes, but only \(end - position) are left")
        }
        defer { position += Int(length) }
        return position..<position + Int(length)
    }

    private func malformed(_ text: String) -> Owl2Error {
        .malformedTokenizer(region.name, text)
    }
}

extension ProtobufReader {
    /// The offsets of a string, bytes or message field.
    func bytes(_ field: Field, _ name: String) throws -> Range<Int> {
        guard case .bytes(let range) = field.value else { throw mistyped(field, name, "a string") }
        return range
    }

    /// The text of a string field.
    func string(_ field: Field, _ name: String) throws -> String {
        let range = try bytes(field, name)
        guard let text = String(validating: region.bytes[range], as: UTF8.self) else {
            throw malformed("\(name) at byte \(range.lowerBound) is not valid UTF-8")
        }
        return text
    }

    /// The value of an enumeration or an integer field.
    func integer(_ field: Field, _ name: String) throws -> UInt64 {
        guard case .varint(let value) = field.value else { throw mistyped(field, name, "an integer") }
        return value
    }

    /// The value of a Boolean field.
    func boolean(_ field: Field, _ name: String) throws -> Bool {
        try integer(field, name) != 0
    }

    /// The value of a float field.
    func float(_ field: Field, _ name: String) throws -> Float {
        guard case .fixed32(let bits) = field.value else { throw mistyped(field, name, "a float") }
        return Float(bitPattern: UInt32(littleEndian: bits))
    }

    private func mistyped(_ field: Field, _ name: String, _ expected: String) -> Owl2Error {
        malformed("\(name) at byte \(field.offset) is not \(expected)")
    }
}

extension Owl2Error {
    /// The file that is to be a SentencePiece model is none.
    static func malformedTokenizer(_ file: String, _ text: String) -> Owl2Error {
        Owl2Error(.malformedFile, "\(file): not a valid SentencePiece model: \(text)", subject: file)
    }
}

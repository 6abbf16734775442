import Owl2Core

/// An entry of a safetensors header.
struct SafetensorsEntry {
    let name: String
    var typeName: String
    var shape: [Int]
    /// Offsets of the elements in the data behind the header.
    var start: Int
    var end: Int
}

/// Parses the JSON header of safetensors, which has a fixed depth: an object of entries of three fields.
///
/// A parser of its own sees keys that are there twice, and numbers that are no sizes.
struct SafetensorsHeader {
    private let region: ByteRegion
    private var offset = 0

    /// All entries in the header's order.
    ///
    /// - Parameter region: The bytes of the header.
    static func entries(of region: ByteRegion) throws -> [SafetensorsEntry] {
        var parser = SafetensorsHeader(region: region)
        return try withExtendedLifetime(region) { try parser.entries() }
    }

    private init(region: ByteRegion) {
        self.region = region
    }

    private mutating func entries() throws -> [SafetensorsEntry] {
        var entries: [SafetensorsEntry] = []
        guard region.bytes.first == UInt8(ascii: "{") else { throw malformed("expected '{'") }
        try object { parser, name in
            if name == "__metadata__" {
                try parser.object { parser, _ in _ = try parser.string() }
            } else {
                entries.append(try parser.entry(name))
            }
        }
        guard next() == nil else { throw malformed("something follows the header's object") }
        return entries
    }

    private mutating func entry(_ name: String) throws -> SafetensorsEntry {
        var typeName: String?
        var shape: [Int]?
        var offsets: [Int]?
        try object { parser, field in
            switch field {
            case "dtype": typeName = try parser.string()
            case "shape": shape = try parser.numbers(limit: maximumRank)
            case "data_offsets": offsets = try parser.numbers(limit: 2)
            default: throw parser.malformed("tensor '\(name)' has an unknown field '\(field)'")
            }
        }
        guard let typeName, let shape, let offsets, offsets.count == 2 else {
            throw malformed("tensor '\(name)' lacks one of dtype, shape and data_offsets")
        }
        return SafetensorsEntry(name: name, typeName: typeName, shape: shape, start: offsets[0], end: offsets[1])
    }

    /// Reads an object; `value` reads what follows each key.
    private mutating func object(_ value: (inout SafetensorsHeader, String) throws -> Void) throws {
        try expect(UInt8(ascii: "{"))
        if skip(UInt8(ascii: "}")) { return }
        var keys: Set<String> = []
        repeat {
            let key = try string()
            guard keys.insert(key).inserted else { throw malformed("the key '\(key)' is there twice") }
            try expect(UInt8(ascii: ":"))
            try value(&self, key)
        } while skip(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"))
    }

    private mutating func numbers(limit: Int) throws -> [Int] {
        try expect(UInt8(ascii: "["))
        if skip(UInt8(ascii: "]")) { return [] }
        var numbers: [Int] = []
        repeat {
            guard numbers.count < limit else { throw malformed("expected at most \(limit) numbers") }
            numbers.append(try number())
        } while skip(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
        return numbers
    }

    /// A size: digits alone.
    private mutating func number() throws -> Int {
        var value = 0
        var digitCount = 0
        while let byte = digitCount == 0 ? next() : peek(), byte >= 0x30, byte <= 0x39 {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, sumOverflow) = product.addingReportingOverflow(Int(byte - 0x30))
            guard !overflow, !sumOverflow else { throw malformed("a number is larger than any file") }
            value = sum
            digitCount += 1
            offset += 1
        }
        guard digitCount > 0 else { throw malformed("expected a number that is a size") }
        return value
    }
}

// MARK: - Characters

extension SafetensorsHeader {
    private func malformed(_ reason: String) -> Owl2Error {
        Owl2Error(
            .malformedFile, "\(region.name): safetensors header, byte \(offset): \(reason)", subject: region.name)
    }

    private func peek() -> UInt8? {
        offset < region.count ? region.bytes[offset] : nil
    }

    /// The next byte that is no white space, which is not consumed.
    private mutating func next() -> UInt8? {
        while let byte = peek() {
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            offset += 1
        }
        return nil
    }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard next() == byte else { return false }
        offset += 1
        return true
    }

    private mutating func expect(_ byte: UInt8) throws {
        guard skip(byte) else { throw malformed("expected '\(Character(UnicodeScalar(byte)))'") }
    }

    private mutating func string() throws -> String {
        try expect(UInt8(ascii: "\""))
        var text: [UInt8] = []
        while let byte = peek(), byte != UInt8(ascii: "\"") {
            offset += 1
            if byte == UInt8(ascii: "\\") {
                text += Array(String(try escapedScalar()).utf8)
            } else if byte < 0x20 {
                throw malformed("a control character in a text")
            } else {
                text.append(byte)
            }
        }
        guard peek() != nil else { throw malformed("a text does not end") }
        offset += 1
        guard let string = String(validating: text, as: UTF8.self) else { throw malformed("a text is not valid UTF-8") }
        return string
    }

    /// What follows a backslash.
    private mutating func escapedScalar() throws -> UnicodeScalar {
        guard let byte = peek() else { throw malformed("a text does not end") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return UnicodeScalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if code & 0xFC00 == 0xD800, peek() == UInt8(ascii: "\\") {
                offset += 1
                guard peek() == UInt8(ascii: "u") else { throw malformed("half a surrogate pair") }
                offset += 1
                let low = try hexadecimal()
                guard low & 0xFC00 == 0xDC00 else { throw malformed("half a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = UnicodeScalar(code) else { throw malformed("half a surrogate pair") }
            return scalar
        default: throw malformed("an unknown escape in a text")
        }
    }

    private mutating func hexadecimal() throws -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek(), let digit = Character(UnicodeScalar(byte)).hexDigitValue else {
                throw malformed("an escape needs four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            offset += 1
        }
        return code
    }
}

import Owl2Core

/// The type of a value in GGUF's metadata, by its number in the format.
enum GGUFType: UInt32, Sendable {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of a value, or nil where they vary.
    var byteCount: Int? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }

    var name: String { String(describing: self) }
}

/// A value of GGUF's metadata in the format's own encoding: read from a file, where it stays, or made to be written.
package struct GGUFValue: Sendable {
    /// The value's type; of an array, that of its elements.
    let type: GGUFType
    /// The number of elements of an array; nil for what is none.
    let arrayCount: Int?
    /// The encoded value or elements, one behind the other.
    let bytes: ByteRegion

    /// What error messages call the type.
    var typeName: String { arrayCount == nil ? type.name : "array of \(type.name)" }
}

// MARK: Values to be written

extension GGUFValue {
    private init(_ type: GGUFType, count: Int? = nil, _ bytes: [UInt8]) {
        self.init(type: type, arrayCount: count, bytes: ByteRegion(name: "metadata", copying: bytes))
    }

    package static func uint32(_ value: UInt32) -> GGUFValue { GGUFValue(.uint32, littleEndianBytes(value)) }

    package static func bool(_ value: Bool) -> GGUFValue { GGUFValue(.bool, [value ? 1 : 0]) }

    package static func string(_ value: String) -> GGUFValue { GGUFValue(.string, encoded(value)) }

    /// A number as Float32, as programs expect it, if that is exact; else as Float64.
    package static func number(_ value: Double) -> GGUFValue {
        let single = Float(value)
        return Double(single) == value
            ? GGUFValue(.float32, littleEndianBytes(single.bitPattern))
            : GGUFValue(.float64, littleEndianBytes(value.bitPattern))
    }

    package static func array(_ values: [String]) -> GGUFValue {
        GGUFValue(.string, count: values.count, values.flatMap(encoded))
    }

    package static func array(_ values: [Float]) -> GGUFValue {
        GGUFValue(.float32, count: values.count, values.flatMap { littleEndianBytes($0.bitPattern) })
    }

    package static func array(_ values: [Double]) -> GGUFValue {
        GGUFValue(.float64, count: values.count, values.flatMap { littleEndianBytes($0.bitPattern) })
    }

    package static func array(_ values: [Int32]) -> GGUFValue {
        GGUFValue(.int32, count: values.count, values.flatMap { littleEndianBytes($0) })
    }

    private static func encoded(_ text: String) -> [UInt8] {
        littleEndianBytes(UInt64(text.utf8.count)) + Array(text.utf8)
    }
}

func littleEndianBytes(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

// MARK: Values that were read

/// A Swift type that a value of GGUF's metadata can become.
package protocol GGUFReadable {
    /// What an error message says was expected.
    static var expectation: String { get }

    /// Reads the value, or gives nil where it is of another type or out of range.
    init?(_ value: GGUFValue) throws
}

extension Int: GGUFReadable {
    package static var expectation: String { "an integer" }

    package init?(_ value: GGUFValue) throws {
        guard value.arrayCount == nil, let element = try value.integers(count: 1)?.first else { return nil }
        self = element
    }
}

extension Double: GGUFReadable {
    package static var expectation: String { "a number of type float32 or float64" }

    package init?(_ value: GGUFValue) throws {
        guard value.arrayCount == nil, let element = try value.numbers(count: 1)?.first else { return nil }
        self = element
    }
}

extension Bool: GGUFReadable {
    package static var expectation: String { "a bool, 0 or 1" }

    package init?(_ value: GGUFValue) throws {
        guard value.arrayCount == nil, value.type == .bool, let byte = value.bytes.bytes.first, byte <= 1 else {
            return nil
        }
        self = byte == 1
    }
}

extension String: GGUFReadable {
    package static var expectation: String { "a string of valid UTF-8" }

    package init?(_ value: GGUFValue) throws {
        guard value.arrayCount == nil, let text = try value.strings(count: 1)?.first else { return nil }
        self = text
    }
}

extension Array: GGUFReadable where Element: GGUFElement {
    package static var expectation: String { "an array of \(Element.elementExpectation)" }

    package init?(_ value: GGUFValue) throws {
        guard let count = value.arrayCount, let elements = try Element.elements(of: value, count: count) else {
            return nil
        }
        self = elements
    }
}

/// A Swift type that the elements of an array of GGUF's metadata can become.
package protocol GGUFElement {
    static var elementExpectation: String { get }
    static func elements(of value: GGUFValue, count: Int) throws -> [Self]?
}

extension String: GGUFElement {
    package static var elementExpectation: String { "strings of valid UTF-8" }
    package static func elements(of value: GGUFValue, count: Int) throws -> [String]? {
        try value.strings(count: count)
    }
}

extension Int: GGUFElement {
    package static var elementExpectation: String { "integers" }
    package static func elements(of value: GGUFValue, count: Int) throws -> [Int]? { try value.integers(count: count) }
}

extension Float: GGUFElement {
    package static var elementExpectation: String { "float32" }
    package static func elements(of value: GGUFValue, count: Int) throws -> [Float]? {
        value.type == .float32 ? try value.numbers(count: count)?.map { Float($0) } : nil
    }
}

extension Double: GGUFElement {
    package static var elementExpectation: String { "float32 or float64" }
    package static func elements(of value: GGUFValue, count: Int) throws -> [Double]? {
        try value.numbers(count: count)
    }
}

extension GGUFValue {
    /// The elements as integers; nil where they are no integers or one is larger than `Int` holds.
    fileprivate func integers(count: Int) throws -> [Int]? {
        switch type {
        case .uint8: try elements(UInt8.self, count)
        case .int8: try elements(Int8.self, count)
        case .uint16: try elements(UInt16.self, count)
        case .int16: try elements(Int16.self, count)
        case .uint32: try elements(UInt32.self, count)
        case .int32: try elements(Int32.self, count)
        case .uint64: try elements(UInt64.self, count)
        case .int64: try elements(Int64.self, count)
        case .float32, .float64, .bool, .string, .array: nil
        }
    }

    private func elements<Number: FixedWidthInteger & BitwiseCopyable>(
        _ type: Number.Type, _ count: Int
    ) throws -> [Int]? {
        var reader = try ByteReader(bytes), result: [Int] = []
        for _ in 0..<count {
            guard let element = Int(exactly: try reader.number(type, "an element")) else { return nil }
            result.append(element)
        }
        return result
    }

    fileprivate func numbers(count: Int) throws -> [Double]? {
        guard type == .float32 || type == .float64 else { return nil }
        var reader = try ByteReader(bytes)
        return try (0..<count).map { _ in
            type == .float32
                ? Double(Float(bitPattern: try reader.number(UInt32.self, "an element")))
                : Double(bitPattern: try reader.number(UInt64.self, "an element"))
        }
    }

    fileprivate func strings(count: Int) throws -> [String]? {
        guard type == .string else { return nil }
        var reader = try ByteReader(bytes), result: [String] = []
        for _ in 0..<count {
            let text = try reader.take(reader.integer(UInt64.self, "the length of a string"), "a string")
            guard let string = String(validating: text.bytes, as: UTF8.self) else { return nil }
            result.append(string)
        }
        return result
    }
}

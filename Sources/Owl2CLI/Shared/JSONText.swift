/// JSON whose members stay in the order in which they were given.
indirect enum JSONText: ExpressibleByStringLiteral, ExpressibleByNilLiteral, CustomStringConvertible {
    case object([(String, JSONText)])
    case array([JSONText])
    case string(String)
    case number(String)
    case null
    /// JSON that something else wrote.
    case verbatim(String)

    init(stringLiteral value: String) {
        self = .string(value)
    }

    init(nilLiteral: ()) {
        self = .null
    }

    static func integer(_ value: some BinaryInteger) -> JSONText { .number(String(value)) }

    static func integers(_ values: [Int]) -> JSONText { .array(values.map { .integer($0) }) }

    static func strings(_ values: [String]) -> JSONText { .array(values.map { .string($0) }) }

    /// A number, or null for one that JSON cannot write.
    static func double(_ value: Double) -> JSONText { value.isFinite ? .number("\(value)") : .null }

    /// The text, on one line.
    var description: String {
        switch self {
        case .object(let members):
            "{\(members.map { "\(Self.quoted($0.0)): \($0.1)" }.joined(separator: ", "))}"
        case .array(let elements): "[\(elements.map(\.description).joined(separator: ", "))]"
        case .string(let text): Self.quoted(text)
        case .number(let text), .verbatim(let text): text
        case .null: "null"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// What a run of bytes begins with, read as UTF-8.
enum UTF8Character: Equatable {
    /// A whole character of so many bytes.
    case complete(byteCount: Int)
    /// The beginning of a character whose other bytes may still come.
    case incomplete
    /// A byte that begins no character.
    case invalid

    /// Judges the first character of bytes that are not empty.
    ///
    /// Overlong forms, surrogates and what lies beyond U+10FFFF are invalid.
    init(startOf bytes: ArraySlice<UInt8>) {
        guard let lead = bytes.first else {
            self = .incomplete
            return
        }
        let second: ClosedRange<UInt8>
        switch lead {
        case 0x00...0x7F:
            self = .complete(byteCount: 1)
            return
        case 0xC2...0xDF, 0xE1...0xEC, 0xEE...0xEF, 0xF1...0xF3: second = 0x80...0xBF
        case 0xE0: second = 0xA0...0xBF
        case 0xED: second = 0x80...0x9F
        case 0xF0: second = 0x90...0xBF
        case 0xF4: second = 0x80...0x8F
        default:
            self = .invalid
            return
        }
        let byteCount = Self.byteCount(lead: lead)
        let trail = bytes.prefix(byteCount).dropFirst()
        if let first = trail.first, !second.contains(first) {
            self = .invalid
        } else if !trail.dropFirst().allSatisfy({ 0x80...0xBF ~= $0 }) {
            self = .invalid
        } else {
            self = trail.count + 1 == byteCount ? .complete(byteCount: byteCount) : .incomplete
        }
    }

    /// How many bytes a character with this first byte has in valid UTF-8.
    @inline(__always)
    static func byteCount(lead: UInt8) -> Int {
        switch lead {
        case ..<0xC0: 1
        case ..<0xE0: 2
        case ..<0xF0: 3
        default: 4
        }
    }
}

/// The type in which the elements of a weight are stored.
///
/// Floats are stored one by one. The quantised types of GGUF are stored in blocks along a row, each with scales of its
/// own; a row is a whole number of blocks.
public enum ElementType: String, Sendable, CaseIterable {
    /// IEEE 754 single precision.
    case float32
    /// IEEE 754 half precision.
    case float16
    /// The upper half of a Float32.
    case bfloat16

    /// Elements of one block.
    public var blockElementCount: Int {
        switch self {
        case .float32, .float16, .bfloat16: 1
        }
    }

    /// Bytes of one block.
    public var blockByteCount: Int {
        switch self {
        case .float32: 4
        case .float16, .bfloat16: 2
        }
    }

    /// Bytes of a row of elements, whose number is a multiple of ``blockElementCount``.
    public func byteCount(ofRow elementCount: Int) -> Int {
        elementCount / blockElementCount * blockByteCount
    }
}

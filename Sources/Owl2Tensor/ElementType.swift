/// The type in which the elements of a weight are stored.
public enum ElementType: String, Sendable, CaseIterable {
    /// IEEE 754 single precision.
    case float32
    /// IEEE 754 half precision.
    case float16
    /// The upper half of a Float32.
    case bfloat16

    /// Bytes of one element.
    public var byteCount: Int {
        switch self {
        case .float32: 4
        case .float16, .bfloat16: 2
        }
    }
}

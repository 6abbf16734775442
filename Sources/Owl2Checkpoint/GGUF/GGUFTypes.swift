import Owl2Tensor

extension StoredType {
    /// The types that are supported, by their numbers in GGUF.
    private static let gguf: [UInt32: StoredType] = [
        0: .float32, 1: .float16, 2: .q4_0, 8: .q8_0, 12: .q4_k, 14: .q6_k, 24: .int8, 25: .int16, 26: .int32,
        27: .int64, 28: .float64, 30: .bfloat16,
    ]

    /// Names of types that are known, but not supported.
    private static let unsupported: [UInt32: String] = [
        3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 13: "Q5_K", 15: "Q8_K", 16: "IQ2_XXS",
        17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M",
        34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
    ]

    /// The type of a number in GGUF, or nil for one that is not supported.
    static func ofGGUF(_ number: UInt32) -> StoredType? { gguf[number] }

    /// What to call the type of a number in GGUF.
    static func nameOfGGUF(_ number: UInt32) -> String {
        gguf[number]?.name ?? unsupported[number].map { "\(number) (\($0))" } ?? "\(number)"
    }
}

extension ElementType {
    /// The type's number in GGUF.
    var ggufNumber: UInt32 {
        switch self {
        case .float32: 0
        case .float16: 1
        case .q4_0: 2
        case .q8_0: 8
        case .q4_k: 12
        case .q6_k: 14
        case .bfloat16: 30
        }
    }

    /// The type's name in files, such as `F16` or `Q4_K`.
    package var storedName: String {
        switch self {
        case .float32: StoredType.float32.name
        case .float16: StoredType.float16.name
        case .bfloat16: StoredType.bfloat16.name
        case .q8_0, .q4_0, .q4_k, .q6_k: rawValue.uppercased()
        }
    }
}

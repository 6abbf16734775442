import COwl2Kernels
import Owl2Core

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
    // The names are GGUF's own.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// GGUF's Q8_0: 32 signed bytes and a half-precision scale.
    case q8_0
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// GGUF's Q4_0: 32 numbers of 4 bits, less 8, and a half-precision scale.
    case q4_0
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// GGUF's Q4_K: 256 numbers of 4 bits in 8 groups, each with a 6-bit scale and minimum.
    case q4_k
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// GGUF's Q6_K: 256 numbers of 6 bits, less 32, in 16 groups, each with an 8-bit scale.
    case q6_k

    /// Whether the type is one of GGUF's blocks.
    public var isQuantized: Bool { blockElementCount > 1 }

    /// Elements of one block.
    public var blockElementCount: Int {
        switch self {
        case .float32, .float16, .bfloat16: 1
        case .q8_0, .q4_0: 32
        case .q4_k, .q6_k: 256
        }
    }

    /// Bytes of one block.
    public var blockByteCount: Int {
        switch self {
        case .float32: 4
        case .float16, .bfloat16: 2
        case .q8_0: 34
        case .q4_0: 18
        case .q4_k: 144
        case .q6_k: 210
        }
    }

    /// Bytes of a row of elements, whose number is a multiple of ``blockElementCount``.
    public func byteCount(ofRow elementCount: Int) -> Int {
        elementCount / blockElementCount * blockByteCount
    }

    /// Widens stored elements to Float32, which floats fit into exactly and blocks as their formulas say.
    ///
    /// - Parameter region: Whole blocks, little-endian, at any alignment.
    /// - Returns: The elements.
    package func float32(_ region: ByteRegion) -> [Float] {
        let count = region.count / blockByteCount * blockElementCount
        return [Float](unsafeUninitializedCapacity: count) { target, initializedCount in
            if let base = target.baseAddress, let bytes = region.bytes.baseAddress {
                owl2_kernels_best().pointee.widen(kernelType, bytes, count, base)
            }
            initializedCount = count
        }
    }
}

import Owl2Core
import Owl2Tensor

extension ElementType {
    /// Widens stored elements to Float32, which every stored type fits into exactly.
    ///
    /// - Parameter region: Whole elements, little-endian, at any alignment.
    /// - Returns: The elements.
    func float32(_ region: ByteRegion) -> [Float] {
        switch self {
        case .float32: convert(region) { (bits: UInt32) in Float(bitPattern: bits) }
        case .bfloat16: convert(region) { (bits: UInt16) in Float(bitPattern: UInt32(bits) << 16) }
        case .float16: convert(region, float32(halfPrecision:))
        }
    }
}

/// Reads unsigned numbers and turns each into a Float32.
private func convert<Bits: FixedWidthInteger & BitwiseCopyable>(
    _ region: ByteRegion, _ value: (Bits) -> Float
) -> [Float] {
    let width = MemoryLayout<Bits>.size
    let count = region.count / width
    return withExtendedLifetime(region) {
        [Float](unsafeUninitializedCapacity: count) { target, initializedCount in
            for index in 0..<count {
                let bits = region.bytes.loadUnaligned(fromByteOffset: index * width, as: Bits.self)
                target[index] = value(Bits(littleEndian: bits))
            }
            initializedCount = count
        }
    }
}

/// The Float32 of the bits of an IEEE 754 half, which has the same value; a NaN keeps its payload.
///
/// Written on the bits, since not every platform has `Float16`. The fraction moves to its place in a Float32, whose
/// exponent is then too small by the difference of the two biases, 127 - 15: a factor of 2^112.
private func float32(halfPrecision bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let magnitude = UInt32(bits & 0x7FFF) << 13
    if bits & 0x7C00 == 0x7C00 { return Float(bitPattern: sign | magnitude | 0x7F80_0000) }
    let scaled = Float(bitPattern: magnitude) * Float(sign: .plus, exponent: 112, significand: 1)
    return Float(bitPattern: sign | scaled.bitPattern)
}

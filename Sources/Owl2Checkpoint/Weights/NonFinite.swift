import Owl2Core

extension StoredTensor {
    /// The number of elements that are NaN or infinite.
    ///
    /// All elements are read once, as fast as memory or disk give them. Types without such values have none; a block whose
    /// scale or minimum is not finite has no element that is.
    ///
    /// - Returns: The count.
    /// - Throws: `CancellationError`.
    public func nonFiniteCount() throws -> Int {
        if let scales = BlockScales(type) { return try scales.nonFiniteElementCount(in: contents()) }
        guard let pattern = NonFinitePattern(type) else { return 0 }
        let region = contents()
        let blockByteCount = 1 << 24
        var count = 0
        for start in stride(from: 0, to: region.count, by: blockByteCount) {
            try Task.checkCancellation()
            count += pattern.count(in: region[start..<min(start + blockByteCount, region.count)])
        }
        return count
    }
}

/// Where the half-precision scales lie in a block of a quantised type.
private struct BlockScales {
    private let type: StoredType
    private let offsets: [Int]

    /// The scales of a type, or nil for one that is not stored in blocks.
    init?(_ type: StoredType) {
        switch type.elementType {
        case .q8_0, .q4_0: offsets = [0]
        case .q4_k: offsets = [0, 2]
        case .q6_k: offsets = [208]
        case .float32, .float16, .bfloat16, nil: return nil
        }
        self.type = type
    }

    /// The number of elements in blocks whose scales are not all finite.
    func nonFiniteElementCount(in region: ByteRegion) throws -> Int {
        let infinity: UInt16 = 0x7C00
        var count = 0
        for start in stride(from: 0, to: region.count, by: type.byteCount) {
            if start % (type.byteCount << 16) == 0 { try Task.checkCancellation() }
            let isFinite = offsets.allSatisfy {
                let bits = region.bytes.loadUnaligned(fromByteOffset: start + $0, as: UInt16.self)
                return UInt16(littleEndian: bits) & infinity != infinity
            }
            if !isFinite { count += type.blockElementCount }
        }
        return withExtendedLifetime(region) { count }
    }
}

/// Finds exponents of which every bit is set, in all elements of a 64-bit word at once.
private struct NonFinitePattern {
    /// The exponent's bits of each element.
    private let exponents: UInt64
    /// The lowest bit of each exponent: added to a full one, it carries into the sign's place.
    private let carries: UInt64
    /// The sign's place of each element.
    private let signs: UInt64

    /// The pattern of a type, or nil for one whose elements are always finite.
    init?(_ type: StoredType) {
        switch type {
        case .float16: self.init(exponents: 0x7C00_7C00_7C00_7C00, signs: 0x8000_8000_8000_8000)
        case .bfloat16: self.init(exponents: 0x7F80_7F80_7F80_7F80, signs: 0x8000_8000_8000_8000)
        case .float32: self.init(exponents: 0x7F80_0000_7F80_0000, signs: 0x8000_0000_8000_0000)
        case .float64: self.init(exponents: 0x7FF0_0000_0000_0000, signs: 0x8000_0000_0000_0000)
        default: return nil
        }
    }

    private init(exponents: UInt64, signs: UInt64) {
        self.exponents = exponents
        self.signs = signs
        carries = signs &- exponents
    }

    /// The signs' places of those elements of a word that are not finite.
    private func hits(in word: UInt64) -> UInt64 {
        ((word & exponents) &+ carries) & signs
    }

    func count(in region: ByteRegion) -> Int {
        let wordSize = MemoryLayout<UInt64>.size
        let runByteCount = 1 << 12
        let wholeByteCount = region.count / wordSize * wordSize
        var count = 0
        // A run is asked as a whole first: the loop has no branch, and almost every run is finite.
        for start in stride(from: 0, to: wholeByteCount, by: runByteCount) {
            let words = region.bytes[start..<min(start + runByteCount, wholeByteCount)]
            var any: UInt64 = 0
            forEachWord(of: words) { any |= hits(in: $0) }
            if any != 0 { forEachWord(of: words) { count += hits(in: $0).nonzeroBitCount } }
        }
        var last: UInt64 = 0
        for byte in region.bytes[wholeByteCount...].reversed() { last = last << 8 | UInt64(byte) }
        return withExtendedLifetime(region) { count + hits(in: last).nonzeroBitCount }
    }

    @inline(__always)
    private func forEachWord(of words: Slice<UnsafeRawBufferPointer>, _ body: (UInt64) -> Void) {
        let bytes = UnsafeRawBufferPointer(rebasing: words)
        for offset in stride(from: 0, to: bytes.count, by: MemoryLayout<UInt64>.size) {
            body(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
        }
    }
}

/// The SplitMix64 generator: a counter in steps of the golden ratio, mixed by Stafford's variant 13.
///
/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. One word of state, any seed is
/// good, and the sequence is the same on every machine. It is not for secrets.
struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number in `0 ..< 1` of 53 random bits.
    mutating func nextUnit() -> Double {
        Double(next() >> 11) * 0x1p-53
    }

    /// A seed from the system's random numbers, small enough (53 bits) to pass unharmed through any JSON reader.
    static func drawSeed() -> UInt64 {
        UInt64.random(in: 0..<(1 << 53))
    }
}

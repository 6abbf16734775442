/// The value down to which the largest values of a row have to be taken until their weights reach a target.
///
/// Found digit by digit over the values' bits with a histogram of weights, so that it takes four passes over the row and
/// no sort, whatever the values are. With a weight of 1 it is the k-th largest value, with probabilities the edge of
/// the nucleus.
struct RankThreshold {
    /// The smallest value to take.
    let value: Float
    /// The sum of the weights of all values above it, which is below the target.
    let weightAbove: Double

    /// Finds the threshold of a row without NaN.
    ///
    /// - Parameters:
    ///   - values: The row.
    ///   - target: The sum to reach, above 0. If all weights together are less, the threshold is the smallest value of a
    ///     positive weight.
    ///   - weight: The weight of the value at an index, at least 0.
    @inline(__always)
    init(_ values: UnsafeBufferPointer<Float>, target: Double, weight: (Int) -> Double) {
        var prefix: UInt32 = 0
        var mask: UInt32 = 0
        var reached = 0.0
        for shift in stride(from: UInt32(24), through: 0, by: -8) {
            let digit = withUnsafeTemporaryAllocation(of: Double.self, capacity: 256) { histogram in
                histogram.initialize(repeating: 0)
                for index in 0..<values.count {
                    let key = Self.orderedBits(values[index])
                    if key & mask == prefix {
                        histogram[Int((key >> shift) & 255)] += weight(index)
                    }
                }
                return Self.digit(in: histogram, from: reached, target: target)
            }
            reached = digit.above
            prefix |= digit.index << shift
            mask |= 255 << shift
        }
        value = Self.value(ofOrderedBits: prefix)
        weightAbove = reached
    }

    /// The digit at which the sum over larger ones reaches the target, and the sum above it.
    private static func digit(
        in histogram: UnsafeMutableBufferPointer<Double>, from reached: Double, target: Double
    ) -> (index: UInt32, above: Double) {
        var sum = reached
        var found: (index: UInt32, above: Double) = (0, reached)
        for index in (0..<256).reversed() where histogram[index] > 0 {
            found = (UInt32(index), sum)
            sum += histogram[index]
            if sum >= target { break }
        }
        return found
    }

    /// Bits that order as the values do, with -0 as 0.
    @inline(__always)
    private static func orderedBits(_ value: Float) -> UInt32 {
        let bits = (value + 0).bitPattern
        return bits ^ (bits >> 31 == 1 ? 0xFFFF_FFFF : 0x8000_0000)
    }

    private static func value(ofOrderedBits bits: UInt32) -> Float {
        Float(bitPattern: bits >> 31 == 1 ? bits ^ 0x8000_0000 : ~bits)
    }
}

/// The weights by which a bicubic resampling along one axis sums source pixels to output pixels, as Pillow computes
/// them: a = -0.5, widened when the picture shrinks, normalised in Double, then rounded to 22 fractional bits.
struct BicubicWeights {
    /// Fractional bits of a weight: 32, less 8 of the pixel and 2 for what negative weights overshoot.
    static let fractionBits = 32 - 8 - 2
    /// What is added to a sum of products so that the shift rounds it.
    static let half = Int32(1) << Int32(fractionBits - 1)

    /// The first source pixel of each output pixel.
    let starts: [Int]
    /// The number of source pixels of each output pixel.
    let counts: [Int]
    /// The weights, `[outputs, stride]`; those past an output's count are 0.
    let weights: [Int32]
    /// The distance between the first weights of two outputs.
    let stride: Int
    /// The sum of the weights of each output.
    let sums: [Int32]

    /// Weights of some outputs of a resampling.
    ///
    /// - Parameters:
    ///   - inputSize: The source's length in pixels.
    ///   - outputSize: The whole output's length in pixels.
    ///   - outputs: The output pixels that are wanted.
    init(inputSize: Int, outputSize: Int, outputs: Range<Int>) {
        let filter = BicubicFilter(inputSize: inputSize, outputSize: outputSize)
        var starts: [Int] = []
        var counts: [Int] = []
        var sums: [Int32] = []
        var weights = [Int32](repeating: 0, count: outputs.count * filter.largestCount)
        starts.reserveCapacity(outputs.count)
        counts.reserveCapacity(outputs.count)
        sums.reserveCapacity(outputs.count)
        for (index, output) in outputs.enumerated() {
            let taps = filter.taps(of: output)
            starts.append(taps.start)
            counts.append(taps.weights.count)
            sums.append(taps.weights.reduce(0, &+))
            for (offset, weight) in taps.weights.enumerated() {
                weights[index * filter.largestCount + offset] = weight
            }
        }
        (self.starts, self.counts, self.weights, self.stride) = (starts, counts, weights, filter.largestCount)
        self.sums = sums
    }

    /// Weights of a whole resampling.
    init(inputSize: Int, outputSize: Int) {
        self.init(inputSize: inputSize, outputSize: outputSize, outputs: 0..<outputSize)
    }

    /// The source pixels that the outputs are made of.
    var inputs: Range<Int> {
        guard let first = starts.first, let lastStart = starts.last, let lastCount = counts.last else { return 0..<0 }
        return first..<lastStart + lastCount
    }

    /// Rounds a sum of products, which began with `half`, to a byte.
    @inline(__always)
    static func byte(_ sum: Int32) -> UInt8 {
        UInt8(truncatingIfNeeded: min(max(sum >> Int32(fractionBits), 0), 255))
    }
}

/// The source pixels that one output pixel is made of, and their weights.
struct BicubicTaps: Equatable {
    let start: Int
    let weights: [Int32]
}

/// Pillow's bicubic filter between two lengths.
struct BicubicFilter {
    private let inputSize: Int
    private let scale: Double
    private let support: Double
    private let inverseFilterScale: Double
    /// No output has more source pixels than this.
    let largestCount: Int

    init(inputSize: Int, outputSize: Int) {
        self.inputSize = inputSize
        scale = Double(Float(inputSize)) / Double(outputSize)  // Pillow holds the source's box in Float
        let filterScale = max(scale, 1)
        support = 2 * filterScale
        inverseFilterScale = 1 / filterScale
        largestCount = Int(support.rounded(.up)) * 2 + 1
    }

    /// What an output pixel is made of.
    func taps(of output: Int) -> BicubicTaps {
        let center = (Double(output) + 0.5) * scale
        let start = max(Int(center - support + 0.5), 0)
        let end = min(Int(center + support + 0.5), inputSize)
        var values: [Double] = []
        values.reserveCapacity(largestCount)
        var sum = 0.0
        for source in start..<max(start, end) {
            let value = Self.value(at: (Double(source) - center + 0.5) * inverseFilterScale)
            values.append(value)
            sum += value
        }
        let unit = Double(1 << BicubicWeights.fractionBits)
        return BicubicTaps(
            start: start,
            weights: values.map { value in
                let weight = sum != 0 ? value / sum : value
                return Int32(weight < 0 ? -0.5 + weight * unit : 0.5 + weight * unit)
            })
    }

    /// The cubic convolution kernel with a = -0.5.
    private static func value(at position: Double) -> Double {
        let a = -0.5
        let x = abs(position)
        if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
        return 0
    }
}

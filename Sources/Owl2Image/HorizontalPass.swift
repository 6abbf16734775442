/// The colour that surrounds the pixels of a row.
struct Background: Equatable {
    var red: UInt8 = 0
    var green: UInt8 = 0
    var blue: UInt8 = 0
}

/// Resamples rows to another width.
struct HorizontalPass {
    private let bicubic: BicubicWeights

    /// A pass to some columns of a width.
    ///
    /// - Parameters:
    ///   - inputWidth: The width of the rows, in pixels.
    ///   - outputWidth: The whole width after the pass, in pixels.
    ///   - columns: The output pixels that are wanted.
    init(inputWidth: Int, outputWidth: Int, columns: Range<Int>) {
        bicubic = BicubicWeights(inputSize: inputWidth, outputSize: outputWidth, outputs: columns)
    }

    /// The number of pixels that a pass writes.
    var outputCount: Int { bicubic.starts.count }

    /// The input columns that the output is made of.
    var inputColumns: Range<Int> { bicubic.inputs }

    /// Resamples a row that has its own pixels in a span and the background everywhere else.
    ///
    /// The sums are exact integers, so a background's share is `sum of weights * colour`, less what the span hides: a
    /// row costs what its span has of pixels, and one of a single colour nearly nothing.
    ///
    /// - Parameters:
    ///   - pixels: The span's pixels, 3 bytes each.
    ///   - span: Where they are in the row; within the input's width.
    ///   - background: The colour outside of the span.
    ///   - output: Room for `3 * outputCount` bytes.
    func apply(
        to pixels: UnsafePointer<UInt8>, span: Range<Int>, background: Background,
        output: UnsafeMutablePointer<UInt8>
    ) {
        let (red, green, blue) = (Int32(background.red), Int32(background.green), Int32(background.blue))
        let plain = background == Background()
        bicubic.weights.withUnsafeBufferPointer { weights in
            guard let base = weights.baseAddress else { return }
            for index in 0..<bicubic.starts.count {
                let start = bicubic.starts[index]
                let first = max(start, span.lowerBound)
                let end = max(first, min(start + bicubic.counts[index], span.upperBound))
                let taps = base + index * bicubic.stride + (first - start)
                var source = pixels + 3 * (first - span.lowerBound)
                var (sum0, sum1, sum2) = (BicubicWeights.half, BicubicWeights.half, BicubicWeights.half)
                var spanWeight: Int32 = 0
                for tap in 0..<(end - first) {
                    let weight = taps[tap]
                    sum0 &+= Int32(source[0]) &* weight
                    sum1 &+= Int32(source[1]) &* weight
                    sum2 &+= Int32(source[2]) &* weight
                    spanWeight &+= weight
                    source += 3
                }
                if !plain {
                    let rest = bicubic.sums[index] &- spanWeight
                    sum0 &+= red &* rest
                    sum1 &+= green &* rest
                    sum2 &+= blue &* rest
                }
                output[3 * index] = BicubicWeights.byte(sum0)
                output[3 * index + 1] = BicubicWeights.byte(sum1)
                output[3 * index + 2] = BicubicWeights.byte(sum2)
            }
        }
    }
}

/// Resamples rows, which come one after the other, to another height.
final class VerticalPass {
    private let bicubic: BicubicWeights
    private let rowBytes: Int
    private let sums: UnsafeMutablePointer<Int32>
    /// The first output row that later source rows still add to.
    private var firstOpen = 0

    /// A pass to some rows of a height.
    ///
    /// - Parameters:
    ///   - inputHeight: The number of source rows.
    ///   - outputHeight: The whole number of rows after the pass.
    ///   - rows: The output rows that are wanted.
    ///   - rowBytes: The bytes of a row.
    init(inputHeight: Int, outputHeight: Int, rows: Range<Int>, rowBytes: Int) {
        bicubic = BicubicWeights(inputSize: inputHeight, outputSize: outputHeight, outputs: rows)
        self.rowBytes = rowBytes
        sums = .allocate(capacity: rows.count * rowBytes)
        sums.initialize(repeating: BicubicWeights.half, count: rows.count * rowBytes)
    }

    deinit {
        sums.deallocate()
    }

    /// The source rows that the output rows are made of.
    var inputRows: Range<Int> {
        guard let first = bicubic.starts.first, let lastStart = bicubic.starts.last, let lastCount = bicubic.counts.last
        else { return 0..<0 }
        return first..<lastStart + lastCount
    }

    /// Adds a source row to the output rows that it is part of. Rows come in rising order, without gaps.
    func add(_ row: UnsafePointer<UInt8>, at y: Int) {
        while firstOpen < bicubic.starts.count, bicubic.starts[firstOpen] + bicubic.counts[firstOpen] <= y {
            firstOpen += 1
        }
        var output = firstOpen
        while output < bicubic.starts.count, bicubic.starts[output] <= y {
            let weight = bicubic.weights[output * bicubic.stride + y - bicubic.starts[output]]
            let target = sums + output * rowBytes
            for index in 0..<rowBytes {
                target[index] &+= Int32(row[index]) &* weight
            }
            output += 1
        }
    }

    /// The output rows, once all source rows were added: `[rows, rowBytes]`.
    func finish() -> [UInt8] {
        let count = bicubic.starts.count * rowBytes
        return [UInt8](unsafeUninitializedCapacity: count) { bytes, written in
            for index in 0..<count {
                bytes[index] = BicubicWeights.byte(sums[index])
            }
            written = count
        }
    }

    /// One row of a vertical resampling, made of source rows that are all at hand.
    ///
    /// - Parameters:
    ///   - taps: The source rows and their weights.
    ///   - picture: The source.
    ///   - output: Room for a row of the source's width.
    static func row(
        _ taps: BicubicTaps, of picture: PictureView, output: UnsafeMutablePointer<UInt8>
    ) {
        let count = picture.rowBytes
        if taps.weights.count == 4 {
            let (row0, row1) = (picture.row(taps.start), picture.row(taps.start + 1))
            let (row2, row3) = (picture.row(taps.start + 2), picture.row(taps.start + 3))
            let (weight0, weight1) = (taps.weights[0], taps.weights[1])
            let (weight2, weight3) = (taps.weights[2], taps.weights[3])
            for index in 0..<count {
                let first = Int32(row0[index]) &* weight0 &+ Int32(row1[index]) &* weight1
                let second = Int32(row2[index]) &* weight2 &+ Int32(row3[index]) &* weight3
                output[index] = BicubicWeights.byte(BicubicWeights.half &+ first &+ second)
            }
        } else {
            for index in 0..<count {
                var sum = BicubicWeights.half
                for (offset, weight) in taps.weights.enumerated() {
                    sum &+= Int32(picture.row(taps.start + offset)[index]) &* weight
                }
                output[index] = BicubicWeights.byte(sum)
            }
        }
    }
}

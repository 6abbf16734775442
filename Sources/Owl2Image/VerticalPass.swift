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
    var inputRows: Range<Int> { bicubic.inputs }

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
}

/// Makes single rows of a vertical resampling of a picture that is at hand.
final class RowBlender {
    private let picture: PictureView
    private let columns: Range<Int>
    private let sums: UnsafeMutablePointer<Int32>

    /// - Parameters:
    ///   - picture: The source, which must stay for as long as the blender is used.
    ///   - columns: The columns that are wanted, within the picture's width.
    init(_ picture: PictureView, columns: Range<Int>) {
        self.picture = picture
        self.columns = columns
        sums = .allocate(capacity: 3 * columns.count)
    }

    deinit {
        sums.deallocate()
    }

    /// Writes the row that is made of some source rows by their weights, `3 * columns.count` bytes.
    func blend(_ taps: BicubicTaps, into output: UnsafeMutablePointer<UInt8>) {
        let count = 3 * columns.count
        if taps.weights.count == 4 {
            let (row0, row1) = (source(taps.start), source(taps.start + 1))
            let (row2, row3) = (source(taps.start + 2), source(taps.start + 3))
            let (weight0, weight1) = (taps.weights[0], taps.weights[1])
            let (weight2, weight3) = (taps.weights[2], taps.weights[3])
            for index in 0..<count {
                let first = Int32(row0[index]) &* weight0 &+ Int32(row1[index]) &* weight1
                let second = Int32(row2[index]) &* weight2 &+ Int32(row3[index]) &* weight3
                output[index] = BicubicWeights.byte(BicubicWeights.half &+ first &+ second)
            }
            return
        }
        sums.initialize(repeating: BicubicWeights.half, count: count)
        for (offset, weight) in taps.weights.enumerated() {
            let row = source(taps.start + offset)
            for index in 0..<count {
                sums[index] &+= Int32(row[index]) &* weight
            }
        }
        for index in 0..<count {
            output[index] = BicubicWeights.byte(sums[index])
        }
    }

    private func source(_ y: Int) -> UnsafePointer<UInt8> { picture.row(y) + 3 * columns.lowerBound }
}

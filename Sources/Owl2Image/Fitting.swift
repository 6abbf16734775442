import Owl2Core

extension ImageFit {
    /// Makes a square of a picture, with the bytes that Pillow's bicubic `resize` gives.
    ///
    /// - Parameters:
    ///   - picture: The picture.
    ///   - size: The side of the square, in pixels.
    ///   - padding: The colour around a padded picture.
    /// - Returns: `[size, size, 3]` bytes.
    /// - Throws: `CancellationError`.
    func square(of picture: PictureView, size: Int, padding: Background) throws -> [UInt8] {
        switch self {
        case .stretch: try Self.stretched(picture, size)
        case .pad: try Self.padded(picture, size, padding)
        case .centerCrop: try Self.cropped(picture, size)
        }
    }

    /// A resizer from a square to the wanted one.
    private static func resizer(from edge: Int, to size: Int) -> StreamingResizer {
        StreamingResizer(source: (edge, edge), target: (size, size), origin: (0, 0), window: size)
    }

    /// Both sides to the longer one, then to the wanted size: two resamplings, of which the first makes one row at a
    /// time.
    private static func stretched(_ picture: PictureView, _ size: Int) throws -> [UInt8] {
        let edge = max(picture.width, picture.height)
        let resizer = resizer(from: edge, to: size)
        if picture.width == picture.height {
            for y in 0..<edge {
                try Task.checkCancellation()
                resizer.add(picture.row(y), width: edge, at: y)
            }
        } else if picture.width == 1 {
            // Stretched, each row has one colour.
            for y in 0..<edge {
                try Task.checkCancellation()
                let pixel = picture.row(y)
                let color = Background(red: pixel[0], green: pixel[1], blue: pixel[2])
                resizer.add(pixel, span: 0..<0, background: color, at: y)
            }
        } else if picture.width < edge {
            try widen(picture, to: edge, into: resizer)
        } else {
            try heighten(picture, to: edge, into: resizer)
        }
        return resizer.finish()
    }

    private static func widen(_ picture: PictureView, to edge: Int, into resizer: StreamingResizer) throws {
        let pass = HorizontalPass(inputWidth: picture.width, outputWidth: edge, columns: 0..<edge)
        let row = UnsafeMutablePointer<UInt8>.allocate(capacity: 3 * edge)
        defer { row.deallocate() }
        for y in 0..<edge {
            try Task.checkCancellation()
            pass.apply(to: picture.row(y), span: 0..<picture.width, background: Background(), output: row)
            resizer.add(row, width: edge, at: y)
        }
    }

    private static func heighten(_ picture: PictureView, to edge: Int, into resizer: StreamingResizer) throws {
        let filter = BicubicFilter(inputSize: picture.height, outputSize: edge)
        let blender = RowBlender(picture, columns: 0..<edge)
        let row = UnsafeMutablePointer<UInt8>.allocate(capacity: 3 * edge)
        defer { row.deallocate() }
        var last: BicubicTaps?
        for y in 0..<edge {
            try Task.checkCancellation()
            let taps = filter.taps(of: y)
            if taps == last {
                resizer.addAgain(at: y)
            } else {
                blender.blend(taps, into: row)
                resizer.add(row, width: edge, at: y)
            }
            last = taps
        }
    }

    /// The picture in the middle of a square of one colour, which is resized.
    private static func padded(_ picture: PictureView, _ size: Int, _ color: Background) throws -> [UInt8] {
        let edge = max(picture.width, picture.height)
        let resizer = resizer(from: edge, to: size)
        let left = (edge - picture.width) / 2
        let top = (edge - picture.height) / 2
        for y in 0..<edge {
            try Task.checkCancellation()
            if y >= top, y < top + picture.height {
                resizer.add(picture.row(y - top), span: left..<left + picture.width, background: color, at: y)
            } else if y == 0 || y == top + picture.height {
                resizer.add(picture.pixels, span: 0..<0, background: color, at: y)
            } else {
                resizer.addAgain(at: y)
            }
        }
        return resizer.finish()
    }

    /// The shorter side to the wanted size, the longer one in proportion, rounded down, and the middle of it cut out.
    private static func cropped(_ picture: PictureView, _ size: Int) throws -> [UInt8] {
        let short = min(picture.width, picture.height)
        func resized(_ side: Int) -> Int { side == short ? size : Int(Double(size * side) / Double(short)) }
        let target = (width: resized(picture.width), height: resized(picture.height))
        let origin = (x: (target.width - size) / 2, y: (target.height - size) / 2)
        // Pillow 13 resamples vertically first where that saves it work; Pillow before that, never.
        let removed = (columns: picture.width - target.width, rows: picture.height - target.height)
        if removed.rows > 0, removed.columns != 0, removed.rows > 2 * removed.columns {
            return try croppedVerticallyFirst(picture, target, origin, size)
        }
        let resizer = StreamingResizer(
            source: (picture.width, picture.height), target: target, origin: origin, window: size)
        for y in resizer.inputRows {
            try Task.checkCancellation()
            resizer.add(picture.row(y), width: picture.width, at: y)
        }
        return resizer.finish()
    }

    private static func croppedVerticallyFirst(
        _ picture: PictureView, _ target: (width: Int, height: Int), _ origin: (x: Int, y: Int), _ size: Int
    ) throws -> [UInt8] {
        let filter = BicubicFilter(inputSize: picture.height, outputSize: target.height)
        let pass = HorizontalPass(
            inputWidth: picture.width, outputWidth: target.width, columns: origin.x..<origin.x + size)
        let blender = RowBlender(picture, columns: pass.inputColumns)
        let row = UnsafeMutablePointer<UInt8>.allocate(capacity: 3 * pass.inputColumns.count)
        defer { row.deallocate() }
        var square = [UInt8](repeating: 0, count: 3 * size * size)
        try square.withUnsafeMutableBufferPointer { square in
            guard var output = square.baseAddress else { return }
            for y in origin.y..<origin.y + size {
                try Task.checkCancellation()
                blender.blend(filter.taps(of: y), into: row)
                pass.apply(to: row, span: pass.inputColumns, background: Background(), output: output)
                output += 3 * size
            }
        }
        return square
    }
}

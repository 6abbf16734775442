/// Resizes a picture whose rows come one after the other and keeps a square window of the result: neither the source
/// nor the whole result is ever held.
///
/// As in Pillow the horizontal pass is first, its result is rounded to bytes, and an axis whose length stays is not
/// resampled.
final class StreamingResizer {
    private let window: Int
    private let firstColumn: Int
    private let horizontal: HorizontalPass?
    private let vertical: VerticalPass?
    private let narrow: UnsafeMutablePointer<UInt8>
    private var collected: [UInt8] = []

    /// The source rows that are wanted, in rising order; the others must not be given.
    let inputRows: Range<Int>

    /// - Parameters:
    ///   - source: The size of the source.
    ///   - target: The size of the whole result.
    ///   - origin: The upper left corner of the window in the result.
    ///   - window: The side of the window, which lies within the result.
    init(
        source: (width: Int, height: Int), target: (width: Int, height: Int), origin: (x: Int, y: Int), window: Int
    ) {
        self.window = window
        firstColumn = origin.x
        let rows = origin.y..<origin.y + window
        let columns = origin.x..<origin.x + window
        horizontal =
            source.width == target.width
            ? nil : HorizontalPass(inputWidth: source.width, outputWidth: target.width, columns: columns)
        vertical =
            source.height == target.height
            ? nil
            : VerticalPass(
                inputHeight: source.height, outputHeight: target.height, rows: rows, rowBytes: 3 * window)
        inputRows = vertical?.inputRows ?? rows
        narrow = .allocate(capacity: 3 * window)
        narrow.initialize(repeating: 0, count: 3 * window)
    }

    deinit {
        narrow.deallocate()
    }

    /// Takes the next source row, all of whose pixels are given.
    func add(_ row: UnsafePointer<UInt8>, width: Int, at y: Int) {
        add(row, span: 0..<width, background: Background(), at: y)
    }

    /// Takes the next source row, which has its own pixels in a span and the background everywhere else.
    func add(_ pixels: UnsafePointer<UInt8>, span: Range<Int>, background: Background, at y: Int) {
        if let horizontal {
            horizontal.apply(to: pixels, span: span, background: background, output: narrow)
        } else {
            for column in 0..<window {
                let x = firstColumn + column
                let target = narrow + 3 * column
                if span.contains(x) {
                    target.update(from: pixels + 3 * (x - span.lowerBound), count: 3)
                } else {
                    (target[0], target[1], target[2]) = (background.red, background.green, background.blue)
                }
            }
        }
        addAgain(at: y)
    }

    /// Takes the next source row, which is the same as the last one.
    func addAgain(at y: Int) {
        if let vertical {
            vertical.add(narrow, at: y)
        } else {
            collected.append(contentsOf: UnsafeBufferPointer(start: narrow, count: 3 * window))
        }
    }

    /// The window, once all rows of `inputRows` were taken: `[window, window, 3]`.
    func finish() -> [UInt8] {
        vertical?.finish() ?? collected
    }
}

import Synchronization

/// How much longer a pass of several rows takes than one of a single row, as measured while answers are generated.
///
/// Only speed depends on it, never a result.
final class PassCosts: Sendable {
    /// What was measured: seconds of a single row, and times that of 2, 3 to 4, 5 to 8, and 9 to 16 rows.
    private struct Measures {
        var single: Double?
        var ratios = PassCosts.assumed
    }

    private let measures = Mutex(Measures())

    /// What is assumed where nothing was measured.
    private static let assumed = [1.3, 1.6, 2.1, 3.2]
    /// The weight of a new measurement.
    private static let rate = 0.5
    /// How fast a measurement is doubted again while it keeps guesses from being verified.
    private static let doubt = 0.004

    private static func bucket(_ rowCount: Int) -> Int {
        rowCount <= 2 ? 0 : rowCount <= 4 ? 1 : rowCount <= 8 ? 2 : 3
    }

    /// The time of a pass of this many rows, in passes of one row; nil before a single row was measured.
    func ratio(rowCount: Int) -> Double? {
        guard rowCount > 1 else { return 1 }
        return measures.withLock { $0.single == nil ? nil : $0.ratios[Self.bucket(rowCount)] }
    }

    /// Notes how long a pass took.
    func record(rowCount: Int, seconds: Double) {
        measures.withLock { measures in
            guard rowCount > 1 else {
                measures.single = measures.single.map { $0 + Self.rate * (seconds - $0) } ?? seconds
                for index in measures.ratios.indices {
                    measures.ratios[index] += Self.doubt * (Self.assumed[index] - measures.ratios[index])
                }
                return
            }
            guard let single = measures.single, single > 0 else { return }
            let bucket = Self.bucket(rowCount)
            // one pass that had to wait for another program is not believed at once
            let ratio = min(seconds / single, 4 * measures.ratios[bucket])
            measures.ratios[bucket] += Self.rate * (ratio - measures.ratios[bucket])
        }
    }
}

import Foundation
import Owl2Core
import Owl2Image
import Owl2Tensor
import Synchronization

/// The embeddings of pictures that were encoded before, by content: the same bytes, fit and handling of orientation give
/// the same rows. The pictures used longest ago go first when the bytes exceed a bound.
///
/// Whoever is about to encode pictures can claim them, so that others who want the same ones at the same time wait.
final class ImageCache: Sendable {
    /// What a picture's embedding depends on, beside the model.
    struct Key: Hashable, Sendable {
        let digest: SHA256.Digest
        let fit: ImageFit
        let honorsOrientation: Bool
    }

    private struct Entry {
        let rows: Matrix
        var lastUse: Int
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var claimed: Set<Key> = []
        var byteCount = 0
        var clock = 0
    }

    /// The most bytes that embeddings take.
    let capacity: Int
    private let state = Mutex(State())

    /// - Parameter capacity: In bytes; 0 keeps nothing.
    init(capacity: Int) {
        self.capacity = capacity
    }

    /// Whether anything is kept.
    var isOn: Bool { capacity > 0 }

    /// Bytes of all embeddings.
    var byteCount: Int { state.withLock { $0.byteCount } }

    /// The number of pictures.
    var count: Int { state.withLock { $0.entries.count } }

    /// The embedding of a picture that was met before.
    func rows(_ key: Key) -> Matrix? {
        state.withLock { state in
            state.clock += 1
            state.entries[key]?.lastUse = state.clock
            return state.entries[key]?.rows
        }
    }

    /// Keeps an embedding, unless it alone exceeds the bound.
    func insert(_ rows: Matrix, for key: Key) {
        let bytes = Self.byteCount(rows)
        guard bytes <= capacity else { return }
        state.withLock { state in
            state.clock += 1
            if let old = state.entries[key] { state.byteCount -= Self.byteCount(old.rows) }
            state.entries[key] = Entry(rows: rows, lastUse: state.clock)
            state.byteCount += bytes
            while state.byteCount > capacity,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.entries[oldest.key] = nil
                state.byteCount -= Self.byteCount(oldest.value.rows)
            }
        }
    }

    /// Claims the pictures that are not here and that nobody else has claimed; they are then the caller's to encode and to
    /// release.
    func claim(_ keys: Set<Key>) -> Set<Key> {
        state.withLock { state in
            let free = keys.filter { !state.claimed.contains($0) && state.entries[$0] == nil }
            state.claimed.formUnion(free)
            return free
        }
    }

    /// Gives claims up, whether the pictures were encoded or not.
    func release(_ keys: Set<Key>) {
        state.withLock { $0.claimed.subtract(keys) }
    }

    /// Waits until one of the pictures is not claimed any more. The caller must have released its own claims.
    ///
    /// - Throws: `CancellationError`.
    func awaitRelease(of keys: Set<Key>) throws {
        while state.withLock({ keys.isSubset(of: $0.claimed) }) {
            try Task.checkCancellation()
            Thread.sleep(forTimeInterval: 0.002)
        }
    }

    private static func byteCount(_ rows: Matrix) -> Int {
        rows.count * MemoryLayout<Float>.stride
    }
}

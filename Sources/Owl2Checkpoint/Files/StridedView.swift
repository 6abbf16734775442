import Owl2Core

/// A view of a storage as PyTorch describes it, in elements.
struct StridedView {
    let shape: [Int]
    let strides: [Int]
    let offset: Int

    /// What is known of a view that was found to lie inside its storage.
    struct Checked {
        let elementCount: Int
        let isContiguous: Bool
    }

    /// A view may name an element many times. Up to here it may have more elements than its storage.
    private static let freelyRepeatedCount = 1 << 20

    /// Checks the view against the number of elements that the storage has.
    func checked(against storageCount: Int, name: String, file: String) throws -> Checked {
        func invalid(_ reason: String, _ code: Owl2Error.Code = .malformedFile) -> Owl2Error {
            Owl2Error(code, "\(file): tensor '\(name)' of shape \(shape): \(reason)", subject: name)
        }
        guard shape.count == strides.count else { throw invalid("has \(strides.count) strides") }
        guard let count = Owl2Checkpoint.elementCount(ofShape: shape) else { throw invalid("the shape is impossible") }
        guard offset >= 0, strides.allSatisfy({ $0 >= 0 }) else {
            throw invalid("the offset \(offset) or a stride of \(strides) is negative")
        }
        guard count > 0 else { return Checked(elementCount: 0, isContiguous: true) }
        guard let last = lastElement(), last < storageCount else {
            throw invalid(
                "offset \(offset) and strides \(strides) reach outside of its \(storageCount) stored elements")
        }
        guard count <= max(storageCount, Self.freelyRepeatedCount) else {
            throw invalid("repeats a storage of \(storageCount) elements; save it contiguous", .unsupportedFormat)
        }
        return Checked(elementCount: count, isContiguous: isContiguous)
    }

    /// The offset of the last element in memory, or nil where it cannot be counted.
    private func lastElement() -> Int? {
        var last = offset
        for (size, stride) in zip(shape, strides) {
            let (distance, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
            let (sum, sumOverflow) = last.addingReportingOverflow(distance)
            if overflow || sumOverflow { return nil }
            last = sum
        }
        return last
    }

    private var isContiguous: Bool {
        var expected = 1
        for (size, stride) in zip(shape, strides).reversed() where size != 1 {
            if stride != expected { return false }
            expected *= size
        }
        return true
    }

    /// Copies the elements row by row. The view must have been checked against `source`.
    func gather<Element: BitwiseCopyable>(
        _ type: Element.Type, from source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) {
        let width = MemoryLayout<Element>.size
        let rowLength = shape.last ?? 1
        let rowStride = (strides.last ?? 1) * width
        var index = [Int](repeating: 0, count: max(shape.count - 1, 0))
        var written = 0
        while written < target.count {
            var place = zip(index, strides).reduce(offset) { $0 + $1.0 * $1.1 } * width
            for _ in 0..<rowLength {
                let element = source.loadUnaligned(fromByteOffset: place, as: Element.self)
                target.storeBytes(of: element, toByteOffset: written, as: Element.self)
                place += rowStride
                written += width
            }
            advance(&index)
        }
    }

    /// Counts to the next row.
    private func advance(_ index: inout [Int]) {
        for dimension in index.indices.reversed() {
            index[dimension] += 1
            if index[dimension] < shape[dimension] { return }
            index[dimension] = 0
        }
    }
}

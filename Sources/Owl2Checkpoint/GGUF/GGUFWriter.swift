import Foundation
import Owl2Core
import Owl2Tensor

/// A tensor that is to be written.
package struct GGUFTensorPlan: Sendable {
    /// The tensor's name in the file.
    package let name: String
    /// The size of each dimension, outermost first.
    package let shape: [Int]
    /// The type to be written.
    package let type: ElementType
    /// Bytes of all elements.
    package let byteCount: Int

    /// A tensor of 1 to 4 dimensions whose last one is a multiple of the type's block.
    package init(name: String, shape: [Int], type: ElementType) {
        let count = elementCount(ofShape: shape) ?? 0
        precondition((1...GGUFHeader.maximumRank).contains(shape.count) && count > 0, "shape of \(name)")
        precondition((shape.last ?? 0) % type.blockElementCount == 0, "row of \(name)")
        precondition((1...GGUFHeader.maximumNameByteCount).contains(name.utf8.count), "name '\(name)'")
        self.name = name
        self.shape = shape
        self.type = type
        byteCount = type.byteCount(ofRow: count)
    }
}

/// Writes a GGUF file tensor by tensor, with memory for none of them.
///
/// The file grows under a temporary name in the same directory, without its magic number, and gets both when it is
/// whole and on the disk. A writer that goes away before removes what it has written.
package final class GGUFWriter {
    private let output: PartialFile
    private let plans: [GGUFTensorPlan]
    private var index = 0
    /// Bytes of the current tensor that were written.
    private var written = 0

    /// Creates the temporary file, takes the space that the whole file needs, and writes the header.
    ///
    /// - Parameters:
    ///   - url: The file to be made; one that is there is replaced at the end.
    ///   - metadata: Keys, each once, with their values.
    ///   - tensors: All tensors, in the order in which they will be written.
    /// - Throws: `Owl2Error` (`unwritableFile`), also where the disk has too little space.
    package init(
        to url: URL, metadata: [(key: String, value: GGUFValue)], tensors: [GGUFTensorPlan]
    ) throws {
        let header = Self.header(metadata, tensors)
        plans = tensors
        output = try PartialFile(replacing: url)
        try output.reserve(header.count + tensors.reduce(0) { $0 + Self.padded($1.byteCount) })
        // The magic number comes last: see `finish()`.
        try output.write([UInt8](repeating: 0, count: GGUFHeader.magic.count))
        try output.write(Array(header.dropFirst(GGUFHeader.magic.count)))
    }

    /// Appends bytes of the current tensor: the first one that is not yet complete.
    ///
    /// - Parameter bytes: Not more than the tensor lacks.
    /// - Throws: `Owl2Error` (`unwritableFile`).
    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        let byteCount = plans[index].byteCount
        precondition(written + bytes.count <= byteCount, "too much of \(plans[index].name)")
        try output.write(bytes)
        written += bytes.count
        guard written == byteCount else { return }
        try output.write([UInt8](repeating: 0, count: Self.padded(byteCount) - byteCount))
        index += 1
        written = 0
    }

    /// Puts the file in its place.
    ///
    /// - Throws: `Owl2Error` (`unwritableFile`).
    package func finish() throws {
        precondition(index == plans.count, "tensors are missing")
        try output.writeFirst(GGUFHeader.magic)
        try output.publish()
    }

    private static func padded(_ byteCount: Int) -> Int {
        byteCount + -byteCount & (GGUFHeader.defaultAlignment - 1)
    }

    private static func header(
        _ metadata: [(key: String, value: GGUFValue)], _ tensors: [GGUFTensorPlan]
    ) -> [UInt8] {
        var header = GGUFHeader.magic + littleEndianBytes(UInt32(3))
        func append(_ text: String) { header += littleEndianBytes(UInt64(text.utf8.count)) + Array(text.utf8) }
        header += littleEndianBytes(UInt64(tensors.count)) + littleEndianBytes(UInt64(metadata.count))
        for (key, value) in metadata {
            append(key)
            if let count = value.arrayCount {
                header += littleEndianBytes(GGUFType.array.rawValue) + littleEndianBytes(value.type.rawValue)
                header += littleEndianBytes(UInt64(count))
            } else {
                header += littleEndianBytes(value.type.rawValue)
            }
            withExtendedLifetime(value) { header += value.bytes.bytes }
        }
        var offset = 0
        for tensor in tensors {
            append(tensor.name)
            header += littleEndianBytes(UInt32(tensor.shape.count))
            for size in tensor.shape.reversed() { header += littleEndianBytes(UInt64(size)) }
            header += littleEndianBytes(tensor.type.ggufNumber) + littleEndianBytes(UInt64(offset))
            offset += padded(tensor.byteCount)
        }
        return header + [UInt8](repeating: 0, count: padded(header.count) - header.count)
    }
}

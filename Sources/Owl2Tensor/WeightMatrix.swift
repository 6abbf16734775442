import Owl2Core

/// A matrix of weights, row-major `[rows, columns]`, in the type and at the place in which it is stored.
///
/// As in PyTorch's `nn.Linear.weight`, a row holds the weights of one output.
public struct WeightMatrix: Sendable {
    /// The number of rows: outputs of a linear layer, or entries of an embedding table.
    public let rowCount: Int
    /// The number of columns: inputs of a linear layer, or the width of an embedding.
    public let columnCount: Int
    /// How elements are stored.
    public let elementType: ElementType
    /// The elements, row by row, little-endian, at any alignment.
    public let storage: ByteRegion

    /// A matrix over stored bytes, which are not copied.
    ///
    /// - Parameters:
    ///   - rowCount: The number of rows.
    ///   - columnCount: The number of columns.
    ///   - elementType: The type of the stored elements.
    ///   - storage: `rowCount * columnCount` elements; another size is a programmer's error.
    public init(rowCount: Int, columnCount: Int, elementType: ElementType, storage: ByteRegion) {
        precondition(columnCount % elementType.blockElementCount == 0, "row of \(storage.name)")
        precondition(storage.count == rowCount * elementType.byteCount(ofRow: columnCount), "size of \(storage.name)")
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.elementType = elementType
        self.storage = storage
    }
}

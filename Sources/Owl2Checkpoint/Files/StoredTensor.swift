import Owl2Core
import Owl2Tensor

/// A type that files of weights can hold, by its name in safetensors or, for blocks, in GGUF.
struct StoredType: Hashable, Sendable {
    let name: String
    /// Bytes of one element, or of one block of a type that is stored in blocks.
    let byteCount: Int
    /// Elements of one block; one for a type that is not stored in blocks.
    var blockElementCount: Int { elementType?.blockElementCount ?? 1 }
    /// The type in which the model's arithmetic can use it, where it can.
    let elementType: ElementType?

    private init(_ name: String, _ byteCount: Int, _ elementType: ElementType? = nil) {
        self.name = name
        self.byteCount = byteCount
        self.elementType = elementType
    }

    /// A type of blocks.
    private init(_ elementType: ElementType) {
        self.init(elementType.rawValue.uppercased(), elementType.blockByteCount, elementType)
    }

    /// The type in which elements are stored.
    init(elementType: ElementType) {
        switch elementType {
        case .float32: self = .float32
        case .float16: self = .float16
        case .bfloat16: self = .bfloat16
        case .q8_0, .q4_0, .q4_k, .q6_k: self.init(elementType)
        }
    }

    static let float32 = StoredType("F32", 4, .float32)
    static let float16 = StoredType("F16", 2, .float16)
    static let bfloat16 = StoredType("BF16", 2, .bfloat16)
    static let float64 = StoredType("F64", 8)
    static let int64 = StoredType("I64", 8)
    static let int32 = StoredType("I32", 4)
    static let int16 = StoredType("I16", 2)
    static let int8 = StoredType("I8", 1)
    static let uint8 = StoredType("U8", 1)
    static let bool = StoredType("BOOL", 1)
    // swift-format-ignore: AlwaysUseLowerCamelCase
    static let q8_0 = StoredType(.q8_0)
    // swift-format-ignore: AlwaysUseLowerCamelCase
    static let q4_0 = StoredType(.q4_0)
    // swift-format-ignore: AlwaysUseLowerCamelCase
    static let q4_k = StoredType(.q4_k)
    // swift-format-ignore: AlwaysUseLowerCamelCase
    static let q6_k = StoredType(.q6_k)

    /// The types of whole bytes by their names in safetensors.
    static let named: [String: StoredType] = {
        let others = [
            StoredType("U16", 2), StoredType("U32", 4), StoredType("U64", 8), StoredType("C64", 8),
            StoredType("F8_E4M3", 1), StoredType("F8_E5M2", 1), StoredType("F8_E8M0", 1),
        ]
        let all = [float32, float16, bfloat16, float64, int64, int32, int16, int8, uint8, bool] + others
        return Dictionary(all.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }()
}

/// A tensor of a file of weights: its shape and type, and its elements where they lie.
public struct StoredTensor: Sendable {
    /// The tensor's key in the checkpoint.
    public let name: String
    /// The size of each dimension, outermost first.
    public let shape: [Int]
    /// The type of the elements, or nil for one that the model's arithmetic has no use for.
    public var elementType: ElementType? { type.elementType }
    /// The name of the stored type as safetensors or GGUF writes it, such as `F16`, `I64` or `Q4_K`.
    public var storedTypeName: String { type.name }
    /// The name of the file that holds the tensor.
    public let fileName: String
    /// The number of elements.
    public let elementCount: Int
    /// The number of bytes of all elements.
    public var byteCount: Int { elementCount / type.blockElementCount * type.byteCount }

    let type: StoredType
    private let storage: ByteRegion
    /// Distances in elements, for a view that is not contiguous.
    private let strides: [Int]?

    /// A tensor whose elements lie row by row; `storage` holds exactly them.
    init(name: String, shape: [Int], elementCount: Int, type: StoredType, fileName: String, storage: ByteRegion) {
        precondition(storage.count == elementCount / type.blockElementCount * type.byteCount, "size of \(name)")
        self.name = name
        self.shape = shape
        self.elementCount = elementCount
        self.type = type
        self.fileName = fileName
        self.storage = storage
        strides = nil
    }

    /// A tensor that was made in memory.
    ///
    /// - Parameters:
    ///   - name: Its key.
    ///   - shape: The size of each dimension; the last is a multiple of the type's block.
    ///   - elementType: The type of the elements.
    ///   - fileName: What to call the place that it comes from.
    ///   - storage: Exactly its elements, row by row; another size is a programmer's error.
    package init(name: String, shape: [Int], elementType: ElementType, fileName: String, storage: ByteRegion) {
        self.init(
            name: name, shape: shape, elementCount: shape.reduce(1, *), type: StoredType(elementType: elementType),
            fileName: fileName, storage: storage)
    }

    /// A view of a storage.
    ///
    /// - Throws: `Owl2Error` when the view reaches outside of the storage, or repeats it beyond measure.
    init(
        name: String, shape: [Int], strides: [Int], offset: Int, type: StoredType, fileName: String, storage: ByteRegion
    ) throws {
        let view = try StridedView(shape: shape, strides: strides, offset: offset)
            .checked(against: storage.count / type.byteCount, name: name, file: storage.name)
        self.name = name
        self.shape = shape
        self.elementCount = view.elementCount
        self.type = type
        self.fileName = fileName
        let start = view.elementCount == 0 ? 0 : offset * type.byteCount
        if view.isContiguous {
            self.storage = storage[start..<start + view.elementCount * type.byteCount]
            self.strides = nil
        } else {
            self.storage = storage[start..<storage.count]
            self.strides = strides
        }
    }

    /// The same tensor under another name.
    func renamed(_ name: String) -> StoredTensor {
        StoredTensor(renaming: self, to: name)
    }

    private init(renaming tensor: StoredTensor, to name: String) {
        self.name = name
        shape = tensor.shape
        elementCount = tensor.elementCount
        type = tensor.type
        fileName = tensor.fileName
        storage = tensor.storage
        strides = tensor.strides
    }

    /// The elements, row by row, little-endian, at any alignment.
    ///
    /// - Returns: The bytes where the file holds them, or a private copy of a view that is not contiguous.
    public func contents() -> ByteRegion {
        guard let strides else { return storage }
        return ByteRegion(name: storage.name, byteCount: byteCount) { target in
            let view = StridedView(shape: shape, strides: strides, offset: 0)
            switch type.byteCount {
            case 1: view.gather(UInt8.self, from: storage.bytes, into: target)
            case 2: view.gather(UInt16.self, from: storage.bytes, into: target)
            case 4: view.gather(UInt32.self, from: storage.bytes, into: target)
            default: view.gather(UInt64.self, from: storage.bytes, into: target)
            }
        }
    }
}

/// The most dimensions that a tensor may have, as in PyTorch.
let maximumRank = 64

/// The number of elements of a shape, or nil for one that is negative, too deep or too large to count.
///
/// A dimension of zero does not hide the size of the others: their product must be countable, too.
func elementCount(ofShape shape: [Int]) -> Int? {
    guard shape.count <= maximumRank, shape.allSatisfy({ $0 >= 0 }) else { return nil }
    var product = 1
    for size in shape where size > 0 {
        let (next, overflow) = product.multipliedReportingOverflow(by: size)
        if overflow { return nil }
        product = next
    }
    return shape.contains(0) ? 0 : product
}

/// A value on the pickle machine's stack.
///
/// Containers, storages and tensors are numbers of entries in the machine's tables: no value owns another one, so that
/// however deep a program nests them, nothing here recurses.
enum PickleValue {
    case none
    case bool(Bool)
    case integer(Int)
    case real(Double)
    case string(String)
    /// A tuple or a list.
    case sequence(Int)
    /// A dictionary, ordered or not.
    case dictionary(Int)
    case global(PickleGlobal)
    case storage(Int)
    case tensor(Int)
}

/// The names that a pickle may refer to: what a dictionary of tensors needs, and nothing else.
enum PickleGlobal: Equatable {
    case orderedDictionary
    case rebuildTensor
    case rebuildParameter
    case rebuildParameterWithState
    case storage(StoredType)

    private static let known: [String: PickleGlobal] = [
        "collections.OrderedDict": .orderedDictionary,
        "torch._utils._rebuild_tensor_v2": .rebuildTensor,
        "torch._utils._rebuild_parameter": .rebuildParameter,
        "torch._utils._rebuild_parameter_with_state": .rebuildParameterWithState,
        "torch.FloatStorage": .storage(.float32),
        "torch.HalfStorage": .storage(.float16),
        "torch.BFloat16Storage": .storage(.bfloat16),
        "torch.DoubleStorage": .storage(.float64),
        "torch.LongStorage": .storage(.int64),
        "torch.IntStorage": .storage(.int32),
        "torch.ShortStorage": .storage(.int16),
        "torch.CharStorage": .storage(.int8),
        "torch.ByteStorage": .storage(.uint8),
        "torch.BoolStorage": .storage(.bool),
    ]

    /// The global of a qualified name, or nil for one that is refused.
    init?(qualifiedName: String) {
        guard let global = Self.known[qualifiedName] else { return nil }
        self = global
    }
}

/// A storage that a pickle refers to: a member of the archive.
struct PickleStorage {
    let key: String
    let type: StoredType
    /// The number of elements that the pickle claims.
    let elementCount: Int
}

/// A tensor that a pickle describes.
struct PickleTensor {
    let storage: PickleStorage
    let offset: Int
    let shape: [Int]
    let strides: [Int]
}

/// The operations of pickle's protocols 2 to 5 that a dictionary of tensors is written with.
enum PickleOperation: UInt8 {
    case mark = 0x28  // (
    case emptyTuple = 0x29  // )
    case stop = 0x2E  // .
    case binaryFloat = 0x47  // G
    case integer32 = 0x4A  // J
    case integer8 = 0x4B  // K
    case integer16 = 0x4D  // M
    case none = 0x4E  // N
    case persistentIdentifier = 0x51  // Q
    case reduce = 0x52  // R
    case unicode32 = 0x58  // X
    case emptyList = 0x5D  // ]
    case append = 0x61  // a
    case build = 0x62  // b
    case global = 0x63  // c
    case appends = 0x65  // e
    case get8 = 0x68  // h
    case get32 = 0x6A  // j
    case put8 = 0x71  // q
    case put32 = 0x72  // r
    case setItem = 0x73  // s
    case tuple = 0x74  // t
    case setItems = 0x75  // u
    case emptyDictionary = 0x7D  // }
    case proto = 0x80
    case tuple1 = 0x85
    case tuple2 = 0x86
    case tuple3 = 0x87
    case newTrue = 0x88
    case newFalse = 0x89
    case long8 = 0x8A
    case unicode8 = 0x8C
    case unicode64 = 0x8D
    case stackGlobal = 0x93
    case memoize = 0x94
    case frame = 0x95
}

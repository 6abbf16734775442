import Owl2Checkpoint
import Owl2Core
import Owl2TestSupport
import Testing

/// The pickle inside a PyTorch file, sound and not.
struct PickleTests {
    static let storage = floatBytes([0, 1, 2, 3, 4, 5])

    static func open(_ program: [UInt8]) throws -> Checkpoint {
        try openPyTorch(pyTorchFile(program, storages: ["0": storage]))
    }

    /// A dictionary of what `body` pushes, and of a sound tensor 'w'.
    static func openDictionary(_ body: (inout PickleBuilder) -> Void) throws -> Checkpoint {
        try open(
            PickleBuilder.dictionary {
                body(&$0)
                $0.text("w")
                $0.tensor(count: 6, shape: [6], strides: [1])
            })
    }

    /// A dictionary of one tensor of six stored numbers.
    static func openTensor(
        storage: String = "FloatStorage", key: String = "0", count: Int = 6, offset: Int = 0, shape: [Int],
        strides: [Int]
    ) throws -> Checkpoint {
        try open(
            PickleBuilder.dictionary {
                $0.text("w")
                $0.tensor(storage: storage, key: key, count: count, offset: offset, shape: shape, strides: strides)
            })
    }

    // MARK: What is refused by name

    @Test(arguments: [
        ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("__builtin__", "getattr"), ("numpy", "ndarray"),
        ("torch", "load"), ("torch._utils", "_rebuild_tensor"), ("collections", "OrderedDict.fromkeys"), ("", ""),
    ])
    func otherGlobalsAreRefusedByName(module: String, name: String) {
        expectError(.unsupportedFormat, "'\(module).\(name)', which is refused: only tensors are loaded") {
            try Self.openDictionary {
                $0.text("x")
                $0.global(module, name)
                $0.operation("(")
                $0.text("true")
                $0.operation("tR")
            }
        }
        expectError(.unsupportedFormat, "'\(module).\(name)', which is refused") {
            try Self.openDictionary {
                $0.text("x")
                $0.text(module)
                $0.text(name)
                $0.raw([0x93])
            }
        }
    }

    @Test(arguments: [
        "i", "o", "V", "S", "I", "L", "F", "P", "0", "1", "2", "d", "l", "p", "g", "\u{1}", "T", "U", "B", "C",
    ])
    func operationsOfOtherProgramsAreRefused(operation: String) {
        expectError(.unsupportedFormat, "operation 0x", "which no dictionary of tensors needs") {
            try Self.openDictionary { $0.operation(operation) }
        }
    }

    @Test(arguments: [UInt8(0x81), 0x82, 0x83, 0x84, 0x8B, 0x8E, 0x8F, 0x90, 0x91, 0x92, 0x96, 0x97, 0x98, 0xFF])
    func newerOperationsAreRefused(operation: UInt8) {
        expectError(.unsupportedFormat, "operation 0x") { try Self.openDictionary { $0.raw([operation]) } }
    }

    @Test func knownFunctionsAreCalledOnlyAsPyTorchDoes() {
        expectError(.unsupportedFormat, "a call of orderedDictionary with 1 arguments") {
            try Self.openDictionary {
                $0.text("x")
                $0.global("collections", "OrderedDict")
                $0.operation("(NtR")
            }
        }
        expectError(.unsupportedFormat, "a call of") {
            try Self.openDictionary {
                $0.text("x")
                $0.global("torch", "FloatStorage")
                $0.operation(")R")
            }
        }
        expectError(.malformedFile, "a call of what is no function") { try Self.openDictionary { $0.operation("))R") } }
        expectError(.malformedFile, "a parameter that is no tensor") {
            try Self.openDictionary {
                $0.global("torch._utils", "_rebuild_parameter")
                $0.operation("(NNNtR")
            }
        }
        expectError(.unsupportedFormat, "the state of an object") { try Self.openDictionary { $0.operation("N}b") } }
        expectError(.unsupportedFormat, "protocol 6") { try Self.openDictionary { $0.raw([0x80, 6]) } }
    }

    // MARK: What is malformed

    @Test(arguments: [
        ".", "(.", "0", "u.", "}u.", "}(Nu.", "}N", "Na.", "Ns.", "}NNs", "t.", "e.", "h\u{1}.", "q\u{0}.", "R.", "Q.",
        "b.",
        "NQ.", ")Q.", "(NNNNNtQ.", "\u{0}", "", "X", "cos\nsystem", "ctorch", "K", "M\u{1}", "J\u{1}\u{1}\u{1}", "G",
    ])
    func brokenProgramsAreErrors(operations: String) {
        var builder = PickleBuilder()
        builder.operation(operations)
        let program = builder.bytes
        #expect(throws: Owl2Error.self) { try Self.open(program) }
    }

    @Test(arguments: [
        [0x8A, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1] as [UInt8], [0x8A, 255], [0x58, 0xFF, 0xFF, 0xFF, 0xFF],
        [0x8D, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], [0x8D, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
        [0x8C, 255], [0x58, 2, 0, 0, 0, 0xC3, 0x28], [0x6A, 0xFF, 0xFF, 0xFF, 0xFF],
    ])
    func hugeCountsAreErrors(operations: [UInt8]) {
        expectError(.malformedFile, "memory/pytorch_model.bin") { try Self.openDictionary { $0.raw(operations) } }
    }

    @Test func theMemoIsNoArray() throws {
        let checkpoint = try Self.openDictionary {
            $0.text("x")
            $0.raw([0x72, 0xFF, 0xFF, 0xFF, 0xFF])
            $0.raw([0x6A, 0xFF, 0xFF, 0xFF, 0xFF])
        }
        #expect(checkpoint.tensors.count == 1)
        #expect(checkpoint.diagnostics == ["memory/pytorch_model.bin: ignored what is no tensor: x"])
    }

    @Test func nestingIsNotRecursion() throws {
        let depth = 500_000
        let checkpoint = try Self.openDictionary {
            $0.text("deep")
            $0.raw([0x29] + [UInt8](repeating: 0x85, count: depth))
        }
        #expect(checkpoint.tensors.count == 1)
        let lists = try Self.openDictionary {
            $0.text("deep")
            $0.raw([UInt8](repeating: 0x5D, count: depth) + [UInt8](repeating: 0x61, count: depth - 1))
        }
        #expect(lists.tensors.count == 1)
    }

    @Test func valuesMayHoldThemselves() throws {
        let checkpoint = try Self.openDictionary {
            $0.text("itself")
            $0.operation("}q\u{1}")
            $0.text("again")
            $0.operation("h\u{1}s")
        }
        #expect(checkpoint.tensors.count == 1)
        var builder = PickleBuilder()
        builder.operation("}q\u{1}")
        builder.text("state_dict")
        builder.operation("h\u{1}s.")
        let program = builder.bytes
        expectError(.unsupportedFormat, "holds no dictionary of tensors") { try Self.open(program) }
    }

    @Test(arguments: [UInt8(0x29), 0x5D, 0x7D, 0x4E, 0x28, 0x94])
    func tooManyValuesAreAnError(operation: UInt8) {
        expectError(.unsupportedFormat, "more than 1048576") {
            try Self.openDictionary { $0.raw([0x4E] + [UInt8](repeating: operation, count: 1 << 20 + 8)) }
        }
    }

    @Test func tooLongProgramsAreAnError() {
        expectError(.unsupportedFormat, "more than the 16777216 allowed") {
            try Self.open([UInt8](repeating: 0x4E, count: 16 << 20 + 1))
        }
    }

    @Test func tensorsThatAreThereTwiceAreAnError() {
        expectError(.malformedFile, "tensor 'w' is there twice") {
            try Self.openDictionary {
                $0.text("w")
                $0.tensor(count: 6, shape: [6], strides: [1])
            }
        }
    }

    @Test func keysMustBeText() {
        expectError(.unsupportedFormat, "names a tensor by something else than text") {
            try Self.openDictionary { $0.operation("NN") }
        }
    }

    // MARK: Views

    @Test func viewsOfAStorageAreGathered() throws {
        func values(_ shape: [Int], _ strides: [Int], _ offset: Int = 0) throws -> [UInt8] {
            let checkpoint = try Self.openTensor(offset: offset, shape: shape, strides: strides)
            return try #require(checkpoint.tensors["w"]).contents().array
        }
        #expect(try values([3, 2], [1, 3]) == floatBytes([0, 3, 1, 4, 2, 5]))
        #expect(try values([2, 2], [2, 1], 2) == floatBytes([2, 3, 4, 5]))
        #expect(try values([], [], 5) == floatBytes([5]))
        #expect(try values([1, 6], [77, 1]) == floatBytes([0, 1, 2, 3, 4, 5]))
        #expect(try values([2, 3, 2], [0, 2, 1]) == floatBytes([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]))
        #expect(try values([0, 3], [3, 1], 6).isEmpty)
    }

    @Test(
        arguments: [
            (6, 0, [7], [1]), (6, 1, [6], [1]), (6, 6, [1], [1]), (6, 0, [2, 3], [4, 1]), (6, -1, [1], [1]),
            (6, 0, [2], [-1]),
            (6, 0, [2, 3], [1]), (6, 0, [-1], [1]), (6, 0, [-2, -3], [3, 1]), (6, .max, [2], [1]), (6, 0, [2], [.max]),
            (6, 1, [3], [.max]), (6, 0, [.max, .max], [0, 0]), (6, 0, [.max, 0, .max], [1, 1, 1]), (7, 0, [6], [1]),
            (5, 0, [5], [1]), (.max, 0, [6], [1]), (-1, 0, [6], [1]), (0, 0, [0], [1]),
        ] as [(Int, Int, [Int], [Int])])
    func viewsOutsideOfTheStorageAreErrors(count: Int, offset: Int, shape: [Int], strides: [Int]) {
        expectError(.malformedFile, "memory/pytorch_model.bin") {
            try Self.openTensor(count: count, offset: offset, shape: shape, strides: strides)
        }
    }

    @Test(arguments: [[1 << 40], [1 << 20 + 1], [1 << 30, 1 << 30]])
    func repeatingAStorageWithoutMeasureIsRefused(shape: [Int]) {
        expectError(.unsupportedFormat, "tensor 'w'", "repeats a storage of 6 elements") {
            try Self.openTensor(shape: shape, strides: shape.map { _ in 0 })
        }
    }

    @Test func storagesMustBeThere() {
        expectError(.malformedFile, "no member 'archive/data/1'") {
            try Self.openTensor(key: "1", shape: [6], strides: [1])
        }
        expectError(.malformedFile, "expected 6 elements of type F16") {
            try Self.openTensor(storage: "HalfStorage", shape: [6], strides: [1])
        }
        expectError(.malformedFile, "a tensor without storage, offset, sizes or strides") {
            try Self.openTensor(shape: Array(repeating: 1, count: 65), strides: Array(repeating: 1, count: 65))
        }
    }
}

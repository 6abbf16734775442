import Owl2Core

/// Runs the pickle program that names the tensors of a PyTorch file.
///
/// The machine knows plain values, containers, and the few functions that rebuild a tensor, which it carries out itself:
/// nothing of the program is ever called. Everything else is refused, by name where it has one.
struct PickleMachine {
    /// The longest program that is run; that of the largest published shard has 100 kB.
    static let maximumByteCount = 16 << 20
    /// The most entries of the stack, of the memo, and of each table.
    static let maximumEntryCount = 1 << 20

    private var reader: ByteReader
    private var stack: [PickleValue] = []
    /// Heights of the stack at the open marks.
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]
    private(set) var sequences: [[PickleValue]] = []
    private(set) var dictionaries: [[(key: PickleValue, value: PickleValue)]] = []
    var storages: [PickleStorage] = []
    var tensors: [PickleTensor] = []

    init(_ program: ByteRegion) throws {
        guard program.count <= Self.maximumByteCount else {
            throw Owl2Error(
                .unsupportedFormat,
                "\(program.name): data.pkl has \(program.count) bytes, more than the \(Self.maximumByteCount) allowed",
                subject: program.name)
        }
        reader = try ByteReader(program)
    }

    /// Runs the program to its end.
    ///
    /// - Returns: The value that it leaves.
    mutating func run() throws -> PickleValue {
        while true {
            let code = try reader.number(UInt8.self, "an operation of data.pkl")
            guard let operation = PickleOperation(rawValue: code) else {
                throw invalid(
                    "operation 0x\(String(code, radix: 16)), which no dictionary of tensors needs", .unsupportedFormat)
            }
            if operation == .stop { return try pop() }
            try step(operation)
        }
    }

    private mutating func step(_ operation: PickleOperation) throws {
        switch operation {
        case .none, .newTrue, .newFalse, .integer8, .integer16, .integer32, .long8, .binaryFloat, .unicode8, .unicode32,
            .unicode64:
            try push(literal(operation))
        case .mark:
            guard marks.count < Self.maximumEntryCount else { throw tooMany("marks") }
            marks.append(stack.count)
        case .emptyTuple, .emptyList: try push(newSequence([]))
        case .tuple1: try pushTuple(count: 1)
        case .tuple2: try pushTuple(count: 2)
        case .tuple3: try pushTuple(count: 3)
        case .tuple: try push(newSequence(popToMark()))
        case .append: try append([pop()])
        case .appends: try append(popToMark())
        case .emptyDictionary: try push(newDictionary())
        case .setItem:
            let value = try pop()
            try setItems([pop(), value])
        case .setItems: try setItems(popToMark())
        case .put8, .put32, .memoize, .get8, .get32: try useMemo(operation)
        case .global, .stackGlobal: try push(global(operation))
        case .persistentIdentifier: try push(storage(for: pop()))
        case .reduce:
            let arguments = try pop()
            try push(apply(pop(), to: arguments))
        case .build: try ignoreState()
        case .proto:
            let version = try reader.number(UInt8.self, "the protocol of data.pkl")
            guard (2...5).contains(version) else { throw invalid("protocol \(version)", .unsupportedFormat) }
        case .frame: _ = try reader.take(8, "a frame of data.pkl")
        case .stop: break
        }
    }

    /// A number or a text that stands in the program.
    private mutating func literal(_ operation: PickleOperation) throws -> PickleValue {
        let what = "a value of data.pkl"
        switch operation {
        case .newTrue: return .bool(true)
        case .newFalse: return .bool(false)
        case .integer8: return .integer(try reader.integer(UInt8.self, what))
        case .integer16: return .integer(try reader.integer(UInt16.self, what))
        case .integer32: return .integer(try reader.integer(Int32.self, what))
        case .long8: return .integer(try longInteger())
        case .binaryFloat: return .real(Double(bitPattern: try reader.number(UInt64.self, what).byteSwapped))
        case .unicode8: return .string(try reader.string(reader.integer(UInt8.self, what), what))
        case .unicode32: return .string(try reader.string(reader.integer(UInt32.self, what), what))
        case .unicode64: return .string(try reader.string(reader.integer(UInt64.self, what), what))
        default: return .none
        }
    }

    /// A number of a stated count of bytes, two's complement.
    private mutating func longInteger() throws -> Int {
        let count = try reader.integer(UInt8.self, "a number of data.pkl")
        let digits = try reader.take(count, "a number of data.pkl").bytes
        guard count <= 8 else { throw invalid("a number of \(count) bytes") }
        var bits: UInt64 = (digits.last ?? 0) & 0x80 == 0 ? 0 : .max
        for digit in digits.reversed() { bits = bits << 8 | UInt64(digit) }
        return Int(Int64(bitPattern: bits))
    }

    private mutating func useMemo(_ operation: PickleOperation) throws {
        let what = "a memo number of data.pkl"
        switch operation {
        case .get8: try push(remembered(reader.integer(UInt8.self, what)))
        case .get32: try push(remembered(reader.integer(UInt32.self, what)))
        case .put8: try remember(reader.integer(UInt8.self, what))
        case .put32: try remember(reader.integer(UInt32.self, what))
        default: try remember(memo.count)
        }
    }

    private func remembered(_ index: Int) throws -> PickleValue {
        guard let value = memo[index] else { throw invalid("memo entry \(index) before it is set") }
        return value
    }

    private mutating func remember(_ index: Int) throws {
        guard memo.count < Self.maximumEntryCount else { throw tooMany("memo entries") }
        memo[index] = try top()
    }

    private mutating func global(_ operation: PickleOperation) throws -> PickleValue {
        let module: String
        let name: String
        if operation == .global {
            module = try reader.line("a module's name in data.pkl")
            name = try reader.line("a global's name in data.pkl")
        } else {
            guard case .string(let nameOnStack) = try pop(), case .string(let moduleOnStack) = try pop() else {
                throw invalid("a global whose name is not text")
            }
            (module, name) = (moduleOnStack, nameOnStack)
        }
        guard let global = PickleGlobal(qualifiedName: "\(module).\(name)") else {
            throw invalid("'\(module).\(name)', which is refused: only tensors are loaded", .unsupportedFormat)
        }
        return .global(global)
    }
}

// MARK: - The stack and the tables

extension PickleMachine {
    /// An error about what the program refers to.
    func invalid(_ reason: String, _ code: Owl2Error.Code = .malformedFile) -> Owl2Error {
        let name = reader.region.name
        return Owl2Error(code, "\(name): data.pkl refers to \(reason) (byte \(reader.offset))", subject: name)
    }

    private func tooMany(_ what: String) -> Owl2Error {
        invalid("more than \(Self.maximumEntryCount) \(what)", .unsupportedFormat)
    }

    private mutating func push(_ value: PickleValue) throws {
        guard stack.count < Self.maximumEntryCount else { throw tooMany("values at once") }
        stack.append(value)
    }

    private func top() throws -> PickleValue {
        guard let value = stack.last, stack.count > marks.last ?? 0 else { throw invalid("a value that is not there") }
        return value
    }

    private mutating func pop() throws -> PickleValue {
        let value = try top()
        stack.removeLast()
        return value
    }

    private mutating func popToMark() throws -> [PickleValue] {
        guard let height = marks.popLast() else { throw invalid("a mark that is not there") }
        let values = Array(stack[height...])
        stack.removeSubrange(height...)
        return values
    }

    private mutating func pushTuple(count: Int) throws {
        var values: [PickleValue] = []
        for _ in 0..<count { values.append(try pop()) }
        try push(newSequence(values.reversed()))
    }

    private mutating func newSequence(_ values: [PickleValue]) throws -> PickleValue {
        guard sequences.count < Self.maximumEntryCount else { throw tooMany("tuples") }
        sequences.append(values)
        return .sequence(sequences.count - 1)
    }

    mutating func newDictionary() throws -> PickleValue {
        guard dictionaries.count < Self.maximumEntryCount else { throw tooMany("dictionaries") }
        dictionaries.append([])
        return .dictionary(dictionaries.count - 1)
    }

    private mutating func append(_ values: [PickleValue]) throws {
        guard case .sequence(let index) = try top() else { throw invalid("a list that is none") }
        sequences[index] += values
    }

    private mutating func setItems(_ items: [PickleValue]) throws {
        guard case .dictionary(let index) = try top(), items.count.isMultiple(of: 2) else {
            throw invalid("a dictionary's entry that is none")
        }
        for item in stride(from: 0, to: items.count, by: 2) {
            dictionaries[index].append((key: items[item], value: items[item + 1]))
        }
    }

    /// Drops attributes of a dictionary, such as the versions that PyTorch keeps in `_metadata`.
    private mutating func ignoreState() throws {
        _ = try pop()
        guard case .dictionary = try top() else { throw invalid("the state of an object", .unsupportedFormat) }
    }
}

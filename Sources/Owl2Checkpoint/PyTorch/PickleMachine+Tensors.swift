import Owl2Core

extension PickleMachine {
    /// The storage that a persistent identifier `("storage", type, key, location, element count)` names.
    mutating func storage(for identifier: PickleValue) throws -> PickleValue {
        guard case .sequence(let index) = identifier, sequences[index].count == 5,
            case .string("storage") = sequences[index][0], case .global(.storage(let type)) = sequences[index][1],
            case .string(let key) = sequences[index][2], case .integer(let count) = sequences[index][4], count >= 0
        else {
            throw invalid("a storage without type, key or size")
        }
        guard storages.count < Self.maximumEntryCount else { throw invalid("too many storages", .unsupportedFormat) }
        storages.append(PickleStorage(key: key, type: type, elementCount: count))
        return .storage(storages.count - 1)
    }

    /// Carries out a call of one of the known functions.
    mutating func apply(_ function: PickleValue, to arguments: PickleValue) throws -> PickleValue {
        guard case .global(let global) = function, case .sequence(let index) = arguments else {
            throw invalid("a call of what is no function")
        }
        let arguments = sequences[index]
        switch global {
        case .orderedDictionary where arguments.isEmpty:
            return try newDictionary()
        case .rebuildTensor where arguments.count >= 6:
            return try tensor(from: arguments)
        case .rebuildParameter where arguments.count == 3, .rebuildParameterWithState where arguments.count == 4:
            guard case .tensor = arguments[0] else { throw invalid("a parameter that is no tensor") }
            return arguments[0]
        default:
            throw invalid("a call of \(global) with \(arguments.count) arguments", .unsupportedFormat)
        }
    }

    /// A tensor of `(storage, offset, sizes, strides, requires_grad, hooks, …)`.
    private mutating func tensor(from arguments: [PickleValue]) throws -> PickleValue {
        guard case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1],
            let shape = integers(arguments[2]), let strides = integers(arguments[3])
        else {
            throw invalid("a tensor without storage, offset, sizes or strides")
        }
        guard tensors.count < Self.maximumEntryCount else { throw invalid("too many tensors", .unsupportedFormat) }
        tensors.append(PickleTensor(storage: storages[storage], offset: offset, shape: shape, strides: strides))
        return .tensor(tensors.count - 1)
    }

    private func integers(_ value: PickleValue) -> [Int]? {
        guard case .sequence(let index) = value, sequences[index].count <= maximumRank else { return nil }
        var numbers: [Int] = []
        for element in sequences[index] {
            guard case .integer(let number) = element else { return nil }
            numbers.append(number)
        }
        return numbers
    }
}

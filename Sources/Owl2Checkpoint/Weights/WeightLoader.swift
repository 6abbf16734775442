import Owl2Core
import Owl2Tensor

/// Hands a checkpoint's tensors to the modules of a model, and remembers which were asked for and which were not right.
///
/// A module says which shape it needs and goes on with an empty stand-in where the checkpoint has something else, so that
/// `finish()` can report everything at once. One loader serves one thread.
package final class WeightLoader {
    fileprivate let checkpoint: Checkpoint
    /// The shape of every tensor that was asked for, whether the checkpoint has it or not.
    package fileprivate(set) var askedShapes: [String: [Int]] = [:]
    /// The shapes of those tensors that the model could do without.
    package fileprivate(set) var optionalShapes: [String: [Int]] = [:]
    /// Stored bytes of the tensors that became Float32 arrays; all others stay where they are.
    package fileprivate(set) var copiedByteCount = 0
    /// What is missing or cannot be used so far, a line for each tensor.
    package fileprivate(set) var problems: [String] = []

    /// A loader of a checkpoint's tensors.
    package init(_ checkpoint: Checkpoint) {
        self.checkpoint = checkpoint
    }

    /// The scope of all tensors.
    package var scope: WeightScope { WeightScope(loader: self, path: "") }

    /// Ends the loading.
    ///
    /// - Parameter isIgnored: Whether a key that no module asked for is nothing to mention.
    /// - Returns: A warning for each key that no module asked for.
    /// - Throws: `Owl2Error` (`missingWeights`) with every tensor that is missing, misshaped, or of another type.
    package func finish(ignoring isIgnored: (String) -> Bool = WeightLoader.isDerived) throws -> [String] {
        guard problems.isEmpty else {
            let count = problems.count == 1 ? "1 tensor is" : "\(problems.count) tensors are"
            let list = listing(problems, limit: 12, separator: "; ")
            throw Owl2Error(
                .missingWeights, "\(checkpoint.files.name): \(count) missing or unusable: \(list)",
                subject: checkpoint.files.name)
        }
        return unexpectedKeys(ignoring: isIgnored).map { "\($0): the model has no such weight; it is not used" }
    }

    /// The keys that no module asked for so far, sorted.
    package func unexpectedKeys(ignoring isIgnored: (String) -> Bool = WeightLoader.isDerived) -> [String] {
        checkpoint.tensors.keys.filter { askedShapes[$0] == nil && !isIgnored($0) }.sorted()
    }

    /// Whether a key names a table that follows from the configuration, so that its presence says nothing.
    package static func isDerived(_ key: String) -> Bool {
        key.hasSuffix(".rotary_emb.inv_freq")
    }
}

/// The tensors of a checkpoint whose keys begin with a path.
///
/// ```swift
/// let attention = scope["self_attn"]
/// let query = attention["q_proj"].matrix("weight", rows: 4096, columns: 4096)   // self_attn.q_proj.weight
/// ```
package struct WeightScope {
    private let loader: WeightLoader
    /// The path, without a dot at its end.
    package let path: String

    fileprivate init(loader: WeightLoader, path: String) {
        self.loader = loader
        self.path = path
    }

    /// The scope of a part of this one.
    package subscript(name: String) -> WeightScope {
        WeightScope(loader: loader, path: key(name))
    }

    /// The scope of an element of a list.
    package subscript(index: Int) -> WeightScope {
        self[String(index)]
    }

    /// Whether the checkpoint has a tensor, without asking for it.
    package func contains(_ name: String) -> Bool {
        loader.checkpoint.tensors[key(name)] != nil
    }

    /// The shape of a tensor as it is stored, without asking for it; nil when there is none.
    package func shape(of name: String) -> [Int]? {
        loader.checkpoint.tensors[key(name)]?.shape
    }

    /// A matrix in its stored type, where it is stored.
    ///
    /// - Returns: The matrix, or an empty one when the checkpoint has none of that shape.
    package func matrix(_ name: String, rows: Int, columns: Int) -> WeightMatrix {
        matrix(name, shape: [rows, columns])
    }

    /// A tensor as a matrix of its first dimension by all others.
    ///
    /// - Returns: The matrix, or an empty one when the checkpoint has none of that shape.
    package func matrix(_ name: String, shape: [Int]) -> WeightMatrix {
        guard let (tensor, type) = tensor(name, shape: shape), let rowCount = shape.first else {
            return WeightMatrix(
                rowCount: 0, columnCount: 0, elementType: .float32, storage: ByteRegion(name: key(name), copying: []))
        }
        // The tensor has this shape, so that its elements can be counted.
        let columnCount = shape.dropFirst().reduce(1, *)
        return WeightMatrix(
            rowCount: rowCount, columnCount: columnCount, elementType: type, storage: tensor.contents())
    }

    /// The elements of a vector as Float32.
    ///
    /// - Returns: The elements, or none when the checkpoint has no such vector.
    package func vector(_ name: String, count: Int) -> [Float] {
        array(name, shape: [count])
    }

    /// The elements of a tensor as Float32, row by row.
    ///
    /// - Returns: The elements, or none when the checkpoint has no tensor of that shape.
    package func array(_ name: String, shape: [Int]) -> [Float] {
        guard let (tensor, type) = tensor(name, shape: shape) else { return [] }
        loader.copiedByteCount += tensor.byteCount
        return type.float32(tensor.contents())
    }

    /// The elements of a tensor that may be missing, as Float32, row by row.
    ///
    /// - Returns: The elements; nil when the checkpoint has none of that name, none when it has another shape.
    package func optionalArray(_ name: String, shape: [Int]) -> [Float]? {
        loader.optionalShapes[key(name)] = shape
        return contains(name) ? array(name, shape: shape) : nil
    }

    private func key(_ name: String) -> String {
        path.isEmpty ? name : "\(path).\(name)"
    }

    /// The tensor of that shape in a type that can be used; or nil, and the problem is noted.
    private func tensor(_ name: String, shape: [Int]) -> (StoredTensor, ElementType)? {
        let key = key(name)
        loader.askedShapes[key] = shape
        guard let tensor = loader.checkpoint.tensors[key] else {
            loader.problems.append("\(key) is missing, expected \(shape)")
            return nil
        }
        guard tensor.shape == shape else {
            loader.problems.append("\(key) has shape \(tensor.shape) in \(tensor.fileName), expected \(shape)")
            return nil
        }
        guard let type = tensor.elementType else {
            let expected = "expected one of \(ElementType.allCases.map(\.storedName).joined(separator: ", "))"
            loader.problems.append("\(key) has type \(tensor.storedTypeName) in \(tensor.fileName), \(expected)")
            return nil
        }
        return (tensor, type)
    }
}

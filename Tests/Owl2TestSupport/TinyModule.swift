import Foundation
import Owl2Checkpoint
import Owl2Core
import Owl2Tensor

/// A module of tiny random weights, and what the reference computes with them.
package struct TinyModule {
    private let directory: URL
    /// The tensors of `expected.safetensors`.
    private let expected: Checkpoint

    /// A module of a folder with `config.json`, `weights.safetensors` and `expected.safetensors`.
    package init(_ directory: URL) throws {
        self.directory = directory
        expected = try Self.checkpoint([Self.region(directory, "expected.safetensors")])
    }

    private static func region(_ directory: URL, _ name: String) throws -> ByteRegion {
        try ByteRegion(mappingFile: directory.appendingPathComponent(name).path)
    }

    /// A checkpoint of one safetensors file in memory.
    private static func checkpoint(_ file: [ByteRegion]) throws -> Checkpoint {
        try Checkpoint(ModelFiles(name: "tiny", embedded: ["model.safetensors": file[0]]))
    }

    /// The configuration, some of its keys replaced.
    package func configuration<Value: Decodable>(_ type: Value.Type, replacing: [String: Any] = [:]) throws -> Value {
        let content = try Data(contentsOf: directory.appendingPathComponent("config.json"))
        var object = try JSONSerialization.jsonObject(with: content) as? [String: Any] ?? [:]
        object.merge(replacing) { $1 }
        return try JSONDecoder().decode(type, from: JSONSerialization.data(withJSONObject: object))
    }

    /// A loader of the weights, with those of more files, and without those of some names.
    package func loader(adding files: [String] = [], without absent: Set<String> = []) throws -> WeightLoader {
        let loaded = try (["weights"] + files).map { name in
            try Self.checkpoint([Self.region(directory, "\(name).safetensors")])
        }
        var writer = SafetensorsWriter()
        for checkpoint in loaded {
            for (name, tensor) in checkpoint.tensors where !absent.contains(name) {
                let values = tensor.elementType?.float32(tensor.contents()) ?? []
                writer.add(name, shape: tensor.shape, float32: values)
            }
        }
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("owl2-\(UUID().uuidString)")
        try writer.write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return WeightLoader(try Self.checkpoint([ByteRegion(mappingFile: file.path)]))
    }

    /// The names of the weights.
    package func weightNames() throws -> Set<String> {
        Set(try Self.checkpoint([Self.region(directory, "weights.safetensors")]).tensors.keys)
    }

    /// An expected tensor, the last dimension as columns.
    package func matrix(_ name: String) throws -> Matrix {
        guard let tensor = expected.tensors[name], let width = tensor.shape.last, let type = tensor.elementType else {
            throw Owl2Error(.invalidInput, "no expected tensor \(name)")
        }
        return Matrix(
            rowCount: tensor.elementCount / width, columnCount: width, values: type.float32(tensor.contents()))
    }

    /// The integers of an expected tensor.
    package func integers(_ name: String) throws -> [Int] {
        guard let tensor = expected.tensors[name] else { throw Owl2Error(.invalidInput, "no expected tensor \(name)") }
        let region = tensor.contents()
        return withExtendedLifetime(region) {
            (0..<tensor.elementCount).map { Int(region.bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self)) }
        }
    }
}

/// How two tensors differ, or nil where every element is within `tolerance` of the expected tensor's largest magnitude.
/// What is not finite differs.
package func difference(_ values: [Float], from expected: [Float], tolerance: Float = 2e-4) -> String? {
    guard values.count == expected.count, !values.isEmpty else {
        return "\(values.count) elements, expected \(expected.count)"
    }
    let limit = tolerance * (expected.map(\.magnitude).max() ?? 0)
    let distances = zip(values, expected).map { $0.isFinite && $1.isFinite ? ($0 - $1).magnitude : .infinity }
    guard let worst = distances.indices.max(by: { distances[$0] < distances[$1] }), distances[worst] > limit else {
        return nil
    }
    return "element \(worst) is \(values[worst]), expected \(expected[worst]), tolerance \(limit)"
}

/// The bits of elements, for comparing exactly.
package func bits(_ matrix: Matrix) -> [UInt32] { matrix.values.map(\.bitPattern) }

/// Runs a body in a task that is cancelled, and gives what it threw.
package func errorWhenCancelled(_ body: @escaping @Sendable () throws -> Void) async -> (any Error)? {
    let task = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        try body()
    }
    do {
        try await task.value
        return nil
    } catch {
        return error
    }
}

/// The error that a body throws, if it is an `Owl2Error`.
package func owl2Error(from body: () throws -> Void) -> Owl2Error? {
    do {
        try body()
        return nil
    } catch {
        return error as? Owl2Error
    }
}

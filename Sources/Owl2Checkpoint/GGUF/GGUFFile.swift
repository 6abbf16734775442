import Owl2Core

/// A GGUF file: its metadata, and its tensors where they lie.
///
/// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
package struct GGUFFile: Sendable {
    /// The file's path, or what else error messages call it.
    package let name: String
    /// The version of the format.
    package let version: Int
    /// The tensors in the file's order, under the file's names.
    package let tensors: [StoredTensor]
    private let metadata: [String: GGUFValue]

    /// Reads the header and checks the place of every tensor. No element is read.
    ///
    /// - Parameters:
    ///   - region: The whole file.
    ///   - fileName: The file's name without a directory.
    /// - Throws: `Owl2Error` (`malformedFile`, or `unsupportedFormat` for what is sound but not supported) with the
    ///   file and the key or tensor.
    package init(_ region: ByteRegion, fileName: String) throws {
        var header = try GGUFHeader(region)
        try header.read()
        name = region.name
        version = header.version
        metadata = header.metadata
        tensors = try header.tensors(fileName: fileName)
    }

    /// Whether a file begins as a GGUF file does.
    package static func isGGUF(_ region: ByteRegion) -> Bool {
        withExtendedLifetime(region) { region.bytes.starts(with: GGUFHeader.magic) }
    }

    /// The keys of all metadata.
    package var keys: Set<String> { Set(metadata.keys) }

    /// The value of a key that must be there.
    ///
    /// - Throws: `Owl2Error` (`malformedFile`) when it is absent, or of another type.
    package func required<Value: GGUFReadable>(_ key: String, as type: Value.Type = Value.self) throws -> Value {
        guard let value = try optional(key, as: type) else {
            throw Owl2Error(
                .malformedFile, "\(name): the key '\(key)' is missing, expected \(Value.expectation)", subject: key)
        }
        return value
    }

    /// The value of a key, or nil when it is absent.
    ///
    /// - Throws: `Owl2Error` (`malformedFile`) when it is of another type.
    package func optional<Value: GGUFReadable>(_ key: String, as type: Value.Type = Value.self) throws -> Value? {
        guard let stored = metadata[key] else { return nil }
        guard let value = try Value(stored) else {
            throw Owl2Error(
                .malformedFile,
                "\(name): the key '\(key)' has the type \(stored.typeName), and its value is not \(Value.expectation)",
                subject: key)
        }
        return value
    }

    /// Throws unless the file holds a model of an architecture, and all of it.
    package func checkArchitecture(_ expected: String) throws {
        let found = try required("general.architecture", as: String.self)
        guard found == expected else {
            throw Owl2Error(
                .unsupportedFormat, "\(name): 'general.architecture' is '\(found)', expected '\(expected)'",
                subject: "general.architecture")
        }
        let parts = try optional("split.count", as: Int.self) ?? 1
        guard parts <= 1 else {
            throw Owl2Error(
                .unsupportedFormat,
                "\(name) is one of \(parts) parts of a model ('split.count'); merge them into one file",
                subject: "split.count")
        }
    }
}

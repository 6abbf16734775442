import Foundation

extension ByteRegion {
    /// Decodes the bytes as JSON.
    ///
    /// - Parameter type: What to decode.
    /// - Returns: The decoded value.
    /// - Throws: `Owl2Error` (`malformedFile` for what is no JSON, `invalidConfiguration` for a value of another type),
    ///   with the file's name and the path of the key.
    package func decodeJSON<Value: Decodable>(_ type: Value.Type) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw Self.describe(error, file: name)
        } catch {
            throw Owl2Error(.malformedFile, "\(name): not valid JSON", subject: name, underlyingError: error)
        }
    }

    private static func describe(_ error: DecodingError, file: String) -> Owl2Error {
        func path(_ context: DecodingError.Context, _ key: (any CodingKey)? = nil) -> String {
            let keys = (context.codingPath + [key].compactMap { $0 }).map {
                $0.intValue.map { "[\($0)]" } ?? $0.stringValue
            }
            return keys.isEmpty ? "the top level" : "'\(keys.joined(separator: "."))'"
        }
        let message: String
        var code = Owl2Error.Code.invalidConfiguration
        switch error {
        case .typeMismatch(let expected, let context):
            message = "\(file): \(path(context)) is not of type \(expected)"
        case .valueNotFound(let expected, let context):
            message = "\(file): \(path(context)) is null, expected \(expected)"
        case .keyNotFound(let key, let context):
            message = "\(file): \(path(context, key)) is missing"
        case .dataCorrupted(let context) where context.codingPath.isEmpty:
            message = "\(file): not valid JSON"
            code = .malformedFile
        case .dataCorrupted(let context):
            message = "\(file): \(path(context)): \(context.debugDescription)"
        @unknown default:
            message = "\(file): \(error)"
        }
        return Owl2Error(code, message, subject: file, underlyingError: error)
    }
}

extension KeyedDecodingContainer {
    /// Replaces a default by the value of a key, if the key is there and not null.
    ///
    /// - Throws: `DecodingError` with the path of the key, also for a number that the type cannot hold, for which
    ///   Foundation has an error of its own without a path.
    package func read<Value: Decodable>(_ key: Key, into value: inout Value) throws {
        do {
            value = try decodeIfPresent(Value.self, forKey: key) ?? value
        } catch let error where !(error is DecodingError) {
            let description = "expected \(Value.self), found a number that is none"
            throw DecodingError.dataCorrupted(
                DecodingError.Context(
                    codingPath: codingPath + [key], debugDescription: description, underlyingError: error))
        }
    }
}

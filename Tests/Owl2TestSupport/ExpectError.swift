import Owl2Core
import Testing

/// Expects an `Owl2Error` of a code whose message is one line and has all the given parts.
package func expectError(
    _ code: Owl2Error.Code, _ parts: String..., sourceLocation: SourceLocation = #_sourceLocation,
    from body: () throws -> some Any
) {
    do {
        let value = try body()
        Issue.record("expected an error, got \(value)", sourceLocation: sourceLocation)
    } catch let error as Owl2Error {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
        #expect(!error.message.contains("\n"), "\(error)", sourceLocation: sourceLocation)
        for part in parts {
            #expect(error.message.contains(part), "\(error)", sourceLocation: sourceLocation)
        }
    } catch {
        Issue.record("not an Owl2Error: \(error)", sourceLocation: sourceLocation)
    }
}

import ArgumentParser
import Foundation

/// Values of an option separated by commas, such as `128,512`.
struct ValueList<Value: ExpressibleByArgument & Sendable>: ExpressibleByArgument, Sendable {
    let values: [Value]

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        values = parts.compactMap { Value(argument: $0.trimmingCharacters(in: .whitespaces)) }
        guard values.count == parts.count else { return nil }
    }

    init(_ values: Value...) {
        self.values = values
    }

    var defaultValueDescription: String { values.map(\.defaultValueDescription).joined(separator: ",") }
}

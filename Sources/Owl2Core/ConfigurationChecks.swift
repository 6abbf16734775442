/// Checks of numbers that come from a configuration file.
package struct ConfigurationChecks {
    /// The object that holds the keys, such as `visual_config.visual_model`, or nothing for the top level.
    let object: String

    package init(object: String = "") {
        self.object = object
    }

    private func invalid(_ key: String, _ expected: String, _ found: String) -> Owl2Error {
        let path = object.isEmpty ? key : "\(object).\(key)"
        return Owl2Error(
            .invalidConfiguration, "config.json: \(path): expected \(expected), found \(found)", subject: path)
    }

    /// Throws unless the value is from 1 to the limit.
    package func positive(_ key: String, _ value: Int, atMost limit: Int) throws {
        guard (1...limit).contains(value) else { throw invalid(key, "1 to \(limit)", "\(value)") }
    }

    /// Throws unless the value is finite and within the range.
    package func finite(_ key: String, _ value: Double, _ range: ClosedRange<Double>) throws {
        guard range.contains(value) else {
            throw invalid(key, "\(range.lowerBound) to \(range.upperBound)", "\(value)")
        }
    }

    /// Throws unless the value is a multiple of another key's.
    package func multiple(_ key: String, _ value: Int, of divisorKey: String, _ divisor: Int) throws {
        guard value % divisor == 0 else { throw invalid(key, "a multiple of \(divisorKey) (\(divisor))", "\(value)") }
    }

    /// Throws unless another key's value is a multiple of the value.
    package func divisor(_ key: String, _ value: Int, of multipleKey: String, _ multiple: Int) throws {
        guard multiple % value == 0 else { throw invalid(key, "a divisor of \(multipleKey) (\(multiple))", "\(value)") }
    }

    /// Throws unless the value is the only supported one.
    package func only<Value: Equatable>(_ key: String, _ value: Value, _ supported: Value) throws {
        guard value == supported else { throw invalid(key, "\(supported)", "\(value)") }
    }
}

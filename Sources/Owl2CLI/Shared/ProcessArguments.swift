import ArgumentParser

/// The program's arguments before they are parsed.
enum ProcessArguments {
    /// Options whose values are free text, which may look like options themselves: `--stop ---`.
    private static let freeTextOptions: Set<String> = [
        "--model", "--reference", "--image", "--text", "--pairs", "--growth", "--stop", "--option", "--logit-bias",
        "--prompt", "--output", "--lines", "--decode",
    ]

    /// The arguments behind the program's name.
    ///
    /// - Throws: `ValidationError` for one that is not UTF-8, which Swift would silently repair.
    static func utf8() throws -> [String] {
        try (1..<max(1, Int(CommandLine.argc))).compactMap { index in
            guard let bytes = CommandLine.unsafeArgv[index] else { return nil }
            guard let argument = String(validatingCString: bytes) else {
                throw ValidationError("argument \(index) is not valid UTF-8: '\(String(cString: bytes))'")
            }
            return argument
        }
    }

    /// Joins options of free text with their values, `--stop -x` to `--stop=-x`, and the ids behind `--decode` with each
    /// other: whatever a value looks like, it can then be nothing else. What is behind `--` stays as it is.
    static func joiningFreeValues(_ arguments: [String]) -> [String] {
        var joined: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" { return joined + [argument] + rest }
            // the parser would take the argument behind '--stop=' for the value
            if argument.hasSuffix("="), freeTextOptions.contains(String(argument.dropLast())) {
                joined += [String(argument.dropLast()), ""]
                continue
            }
            guard freeTextOptions.contains(argument), let value = rest.first, !value.isEmpty else {
                joined.append(argument)
                continue
            }
            rest.removeFirst()
            var values = [value]
            while argument == "--decode", let next = rest.first, Int(next) != nil {
                values.append(next)
                rest.removeFirst()
            }
            joined.append("\(argument)=\(values.joined(separator: " "))")
        }
        return joined
    }
}

import Foundation
import Testing

/// The built executable, run as a user runs it.
enum Program {
    /// Where the executable is: beside the bundle of the tests.
    static let url: URL? = {
        let bundles = [Bundle.main.executableURL, Bundle.main.bundleURL] + Bundle.allBundles.map(\.bundleURL)
        return bundles.compactMap { $0?.deletingLastPathComponent().appendingPathComponent("owl2") }
            .first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }()

    static let isBuilt = url != nil
    static let absence: Comment = "the executable owl2 does not lie beside the tests: build it with 'swift build'"

    /// The root of the package.
    static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static let pictures = package.appendingPathComponent("Examples/Pictures")
    static let parity = package.appendingPathComponent("Tests/Owl2KitTests/Fixtures/Parity")

    static func picture(_ name: String) -> String { pictures.appendingPathComponent(name).path }

    /// What a run left behind.
    struct Result {
        let status: Int32
        let output: String
        let errors: String

        /// The output as one JSON object.
        func object() throws -> [String: Any] {
            #expect(output.last == "\n" && output.count { $0 == "\n" } == 1, "not one line: \(output)")
            return try #require(JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        }
    }

    /// A process that is not started yet, with the environment of the tests and changes to it.
    static func process(_ arguments: [String], environment: [String: String] = [:]) throws -> Process {
        let process = Process()
        let program: URL = try #require(url)
        process.executableURL = program
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        return process
    }

    /// Runs the executable to its end.
    static func run(
        _ arguments: String..., input: Data = Data(), environment: [String: String] = [:]
    ) throws -> Result {
        try run(process(arguments, environment: environment), input: input)
    }

    /// Runs a process to its end. Streams are files, so that nothing can block.
    static func run(_ process: Process, input: Data = Data()) throws -> Result {
        try withTemporaryDirectory { directory in
            let files = try ["in", "out", "err"].map { name in
                let url = directory.appendingPathComponent(name)
                try (name == "in" ? input : Data()).write(to: url)
                return url
            }
            process.standardInput = try FileHandle(forReadingFrom: files[0])
            process.standardOutput = try FileHandle(forWritingTo: files[1])
            process.standardError = try FileHandle(forWritingTo: files[2])
            try process.run()
            process.waitUntilExit()
            #expect(process.terminationReason == .exit, "ended by signal \(process.terminationStatus)")
            return Result(
                status: process.terminationStatus, output: try String(contentsOf: files[1], encoding: .utf8),
                errors: try String(contentsOf: files[2], encoding: .utf8))
        }
    }

    static func withTemporaryDirectory<Value>(_ body: (URL) throws -> Value) throws -> Value {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("owl2-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        return try body(directory)
    }
}

/// Expects a run to have ended well and silently, and gives its output.
func succeeded(_ result: Program.Result, sourceLocation: SourceLocation = #_sourceLocation) -> String {
    #expect(result.status == 0, "\(result.errors)", sourceLocation: sourceLocation)
    #expect(result.errors == "", sourceLocation: sourceLocation)
    return result.output
}

/// Expects a run to have failed with one line on the standard error that holds all the given pieces.
func expectFailure(
    _ result: Program.Result, status: Int32 = 1, mentioning pieces: [String], output: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(result.status == status, "\(result.errors)", sourceLocation: sourceLocation)
    #expect(result.output == output, sourceLocation: sourceLocation)
    #expect(result.errors.hasPrefix("error: "), "\(result.errors)", sourceLocation: sourceLocation)
    #expect(result.errors.last == "\n", sourceLocation: sourceLocation)
    #expect(result.errors.count { $0.isNewline } == 1, "\(result.errors)", sourceLocation: sourceLocation)
    for piece in pieces {
        #expect(result.errors.contains(piece), "\(result.errors)", sourceLocation: sourceLocation)
    }
}

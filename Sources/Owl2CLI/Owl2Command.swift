import ArgumentParser
import Foundation
import Owl2Kit

/// `owl2`: parses options, calls the library and prints. Whatever a model does is in `Owl2Kit`.
@main
struct Owl2Command: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "owl2",
        abstract: "Answers questions about pictures with mPLUG-Owl2.",
        discussion: """
            Without --model the small model inside the program answers; it knows coloured shapes:

              owl2 ask --image shapes.png "What color is the circle?"

            A value may begin with a dash, also in an argument of its own (--stop -x). A question that begins with a dash \
            comes behind '--'. Results go to the standard output, errors and progress to the standard error.
            """,
        version: Owl2Version.current,
        subcommands: [
            Ask.self, Chat.self, Classify.self, Tokenize.self, Preprocess.self, Trace.self, Inspect.self, Quantize.self,
            Bench.self, Perplexity.self,
        ])

    static func main() async {
        do {
            let arguments = try ProcessArguments.utf8()
            var command = try parseAsRoot(ProcessArguments.joiningFreeValues(arguments))
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            Foundation.exit(report(error))
        }
    }

    /// Says what ended the program, and gives its exit status: 0 for a call for help, 64 for arguments that make no sense,
    /// 1 for anything else.
    private static func report(_ error: any Error) -> Int32 {
        if let status = error as? ExitCode { return status.rawValue }
        if let error = error as? Owl2Error { return report(error.message, status: 1) }
        if error is CancellationError { return report("cancelled", status: 1) }
        let status = exitCode(for: error)
        guard status != .success else {
            do {
                try StandardOutput.write(fullMessage(for: error) + "\n")
                return 0
            } catch {
                return report(error)
            }
        }
        let message = message(for: error)
        return report(status == .validationFailure ? "\(message) (see \(helpHint))" : message, status: status.rawValue)
    }

    private static func report(_ message: String, status: Int32) -> Int32 {
        StandardError.writeLine("error: \(message)")
        return status
    }

    /// How to get help for the command that was called.
    private static var helpHint: String {
        let names = configuration.subcommands.compactMap { $0.configuration.commandName ?? $0._commandName }
        let called = CommandLine.arguments.dropFirst().first.flatMap { names.contains($0) ? " \($0)" : nil }
        return "owl2\(called ?? "") --help"
    }
}

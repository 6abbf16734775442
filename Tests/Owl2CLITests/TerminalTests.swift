#if os(Linux)
    import Foundation
    import Testing

    /// What only a terminal shows.
    @Suite("owl2 in a terminal", .enabled(if: Program.isBuilt, Program.absence)) struct TerminalTests {
        /// A pseudo-terminal: what is written to one side is read from the other.
        struct Terminal {
            let outside: FileHandle
            let inside: FileHandle

            // Linux's TIOCSPTLCK and TIOCGPTN, which Swift cannot read from the header
            private static let setLock: UInt = 0x4004_5431
            private static let getNumber: UInt = 0x8004_5430

            init() throws {
                let descriptor = open("/dev/ptmx", O_RDWR | O_NOCTTY)
                var isLocked: Int32 = 0, number: Int32 = -1
                try #require(descriptor >= 0)
                try #require(ioctl(descriptor, Self.setLock, &isLocked) == 0)
                try #require(ioctl(descriptor, Self.getNumber, &number) == 0)
                let other = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
                try #require(other >= 0)
                outside = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
                inside = FileHandle(fileDescriptor: other, closeOnDealloc: true)
            }

            /// All that programs wrote, once none of them has the terminal open.
            func readToEnd() throws -> String {
                try inside.close()
                var bytes: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 4096)
                while true {
                    let count = read(outside.fileDescriptor, &chunk, chunk.count)
                    guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
                    bytes += chunk.prefix(count)
                }
            }
        }

        @Test("Progress is shown on the standard error, and wiped out") func progress() throws {
            let terminal = try Terminal(), output = Pipe()
            let process = try Program.process(
                ["ask", "--image", Program.picture("red-circle.png"), "What color is the circle?"])
            process.standardOutput = output
            process.standardError = terminal.inside
            try process.run()
            process.waitUntilExit()
            let shown = try terminal.readToEnd()
            #expect(shown.contains("loading") && shown.contains("pictures") && shown.contains("prompt"), "\(shown)")
            #expect(shown.hasSuffix("\r\u{1B}[K"))
            #expect(try output.fileHandleForReading.readToEnd() == Data("Red\n".utf8))
        }

        @Test("A conversation with prompts") func chat() throws {
            let terminal = try Terminal()
            let process = try Program.process(["chat"])
            process.standardInput = terminal.inside
            process.standardOutput = terminal.inside
            process.standardError = terminal.inside
            try terminal.outside.write(
                contentsOf: Data(
                    "/image \(Program.picture("red-circle.png"))\nWhat color is the circle?\n/fly\n\u{4}".utf8))
            try process.run()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
            let shown = try terminal.readToEnd()
            for piece in ["/quit", "> ", "red-circle.png", "Red\r\n", "error: expected /image"] {
                #expect(shown.contains(piece), "\(piece) in \(shown)")
            }
        }
    }
#endif

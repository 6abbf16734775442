import Foundation
import Owl2Kit

/// Results for people and scripts. Nothing is held back in a buffer.
enum StandardOutput {
    /// Writes all of a text.
    ///
    /// - Throws: `Owl2Error` (`unwritableFile`), such as for a full disk.
    static func write(_ text: String) throws {
        guard writeAll(text, to: STDOUT_FILENO) else {
            let reason = String(cString: strerror(errno))
            throw Owl2Error(.unwritableFile, "cannot write the standard output: \(reason)", subject: "standard output")
        }
    }

    /// Whether people read along.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
}

/// Errors, warnings and progress.
enum StandardError {
    /// Writes a text; when that fails, there is no other place to say it.
    static func write(_ text: String) {
        _ = writeAll(text, to: STDERR_FILENO)
    }

    /// Writes a text as one line, whatever it holds.
    static func writeLine(_ text: String) {
        write(text.split(whereSeparator: \.isNewline).joined(separator: " ") + "\n")
    }

    /// Whether people read along.
    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }
}

private func writeAll(_ text: String, to descriptor: Int32) -> Bool {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return false }
        bytes = bytes.dropFirst(count)
    }
    return true
}

/// Reads lines from a file, a pipe or a terminal, as soon as they are there.
struct LineReader {
    private let descriptor: Int32
    private let ownsDescriptor: Bool
    /// What error messages call the source.
    let name: String
    private var buffer: [UInt8] = []
    private var start = 0
    private var isAtEnd = false

    /// A reader of a file, or of the standard input for `-`.
    ///
    /// - Throws: `Owl2Error` (`unreadableFile`).
    init(path: String = "-") throws {
        ownsDescriptor = path != "-"
        descriptor = ownsDescriptor ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO
        name = ownsDescriptor ? path : "the standard input"
        guard descriptor >= 0 else { throw unreadable() }
    }

    private func unreadable() -> Owl2Error {
        Owl2Error(.unreadableFile, "cannot read \(name): \(String(cString: strerror(errno)))", subject: name)
    }

    /// The bytes of the next line without its end, or nil behind the last one.
    mutating func next() throws -> [UInt8]? {
        var scanned = start
        while true {
            if let end = buffer[scanned...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { start = end + 1 }
                return Array(buffer[start..<end])
            }
            if isAtEnd {
                defer { start = buffer.count }
                return start < buffer.count ? Array(buffer[start...]) : nil
            }
            buffer.removeFirst(start)
            start = 0
            scanned = buffer.count
            try fill()
        }
    }

    private mutating func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        var count = -1
        repeat {
            count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        } while count < 0 && errno == EINTR
        guard count >= 0 else { throw unreadable() }
        isAtEnd = count == 0
        buffer += chunk.prefix(count)
    }

    /// Closes the file; to be called once, when no more lines are wanted.
    func close() {
        if ownsDescriptor { _ = Foundation.close(descriptor) }
    }
}

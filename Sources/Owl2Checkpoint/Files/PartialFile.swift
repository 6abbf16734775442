import Foundation
import Owl2Core

/// A file that is written under a temporary name in its directory, and takes its own name when it is whole and on the
/// disk.
///
/// Until then nothing is at its place, or what was there before. If the value goes away before, so does the temporary
/// file.
final class PartialFile {
    private let path: String
    private let temporaryPath: String
    private let descriptor: Int32
    private var isPublished = false

    /// Creates the temporary file.
    ///
    /// - Parameter url: The file to be made. A link is followed; what is there and is no regular file is an error.
    /// - Throws: `Owl2Error` (`unwritableFile`).
    init(replacing url: URL) throws {
        path = url.resolvingSymlinksInPath().path
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            let reason = status.st_mode & S_IFMT == S_IFDIR ? "it is a directory" : "it is not a regular file"
            throw Self.unwritable(path, reason)
        }
        temporaryPath = "\(path).partial-\(String(UInt32.random(in: .min ... .max), radix: 36))"
        descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw Self.unwritable(path, String(cString: strerror(errno))) }
    }

    deinit {
        close(descriptor)
        if !isPublished { unlink(temporaryPath) }
    }

    private static func unwritable(_ path: String, _ reason: String) -> Owl2Error {
        Owl2Error(.unwritableFile, "cannot write \(path): \(reason)", subject: path)
    }

    private func failure(_ code: Int32) -> Owl2Error {
        Self.unwritable(path, String(cString: strerror(code)))
    }

    /// Takes space on the disk, so that a lack of it shows before the work, where the file system can.
    func reserve(_ byteCount: Int) throws {
        #if os(Linux)
            guard byteCount > 0 else { return }
            let code = posix_fallocate(descriptor, 0, off_t(byteCount))
            if [ENOSPC, EFBIG, EDQUOT].contains(code) { throw failure(code) }
        #endif
    }

    /// Appends bytes.
    func write(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write($0) }
    }

    /// Appends bytes.
    func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while let base = UnsafeRawBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
            #if canImport(Darwin)
                let count = Darwin.write(descriptor, base, rest.count)
            #elseif canImport(Musl)
                let count = Musl.write(descriptor, base, rest.count)
            #else
                let count = Glibc.write(descriptor, base, rest.count)
            #endif
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure(count < 0 ? errno : EIO) }
            rest = rest.dropFirst(count)
        }
    }

    /// Overwrites the beginning of the file.
    func writeFirst(_ bytes: [UInt8]) throws {
        let count = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        guard count == bytes.count else { throw failure(count < 0 ? errno : EIO) }
    }

    /// Brings the file to the disk and gives it its name.
    func publish() throws {
        guard fsync(descriptor) == 0 else { throw failure(errno) }
        guard rename(temporaryPath, path) == 0 else { throw failure(errno) }
        isPublished = true
        let directory = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_CLOEXEC)
        guard directory >= 0 else { return }
        // The new name, too; a directory that cannot be synchronised holds it all the same.
        fsync(directory)
        close(directory)
    }
}

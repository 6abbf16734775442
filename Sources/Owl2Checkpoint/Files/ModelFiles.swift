import Foundation
import Owl2Core

/// The files of one model by name: those of a directory, bytes that the program carries in itself, or the one GGUF file
/// that holds everything.
public struct ModelFiles: Sendable {
    private enum Source: Sendable {
        case directory
        case embedded([String: ByteRegion])
        case gguf(GGUFFile, ByteRegion)
    }

    /// The architecture that a GGUF file must name.
    package static let architecture = "mplug_owl2"

    /// The path of the directory or GGUF file, or the name that was given for embedded files.
    public let name: String
    /// The names of all files, sorted, as they were when this value was made.
    public let names: [String]
    private let source: Source

    /// The model at a place: a directory in the layout in which models are published, or a GGUF file.
    ///
    /// - Parameter url: The directory or the file.
    /// - Throws: `Owl2Error`: `unreadableFile` when it is absent or cannot be read, `malformedFile` or `unsupportedFormat`
    ///   for a file that is no sound GGUF file of this model's architecture.
    public init(at url: URL) throws {
        var status = stat()
        guard url.isFileURL, stat(url.path, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else {
            try self.init(directory: url)
            return
        }
        try self.init(gguf: ByteRegion(mappingFile: url.path), fileName: url.lastPathComponent)
    }

    /// A model in the bytes of a GGUF file.
    ///
    /// - Parameters:
    ///   - gguf: The whole file.
    ///   - fileName: The file's name without a directory.
    /// - Throws: `Owl2Error` (`malformedFile` or `unsupportedFormat`).
    public init(gguf: ByteRegion, fileName: String) throws {
        try checkIsNoPointer(gguf)
        guard GGUFFile.isGGUF(gguf) else {
            throw Owl2Error(
                .unreadableFile,
                "cannot read \(gguf.name): it is no GGUF file; expected one, or the directory that holds the model's files",
                subject: gguf.name)
        }
        let file = try GGUFFile(gguf, fileName: fileName)
        try file.checkArchitecture(Self.architecture)
        name = gguf.name
        names = [fileName]
        source = .gguf(file, gguf)
    }

    /// The GGUF file that is the model, if it is one.
    package var gguf: GGUFFile? {
        if case .gguf(let file, _) = source { file } else { nil }
    }

    /// The files of a directory.
    ///
    /// - Parameter directory: A directory in the layout in which models are published.
    /// - Throws: `Owl2Error` (`unreadableFile`) when it is absent, is a file, or cannot be read.
    public init(directory: URL) throws {
        guard directory.isFileURL else {
            throw Owl2Error(
                .unreadableFile, "cannot read \(directory.absoluteString): it is not a place on this machine",
                subject: directory.absoluteString)
        }
        let path = directory.path
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw Owl2Error(.unreadableFile, "cannot read \(path): there is no such file or directory", subject: path)
        }
        guard isDirectory.boolValue else {
            throw Owl2Error(
                .unreadableFile,
                "cannot read \(path): it is a file; expected the directory that holds the model's files",
                subject: path)
        }
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw Owl2Error(
                .unreadableFile, "cannot read \(path): the directory cannot be listed", subject: path,
                underlyingError: error)
        }
        name = path
        source = .directory
    }

    /// Files that are in memory already, such as those of a model inside the executable.
    ///
    /// - Parameters:
    ///   - name: What to call the whole in error messages.
    ///   - embedded: The content of each file by its name.
    public init(name: String, embedded: [String: ByteRegion]) {
        self.name = name
        names = embedded.keys.sorted()
        source = .embedded(embedded)
    }

    /// The content of a file, mapped into memory.
    ///
    /// - Parameter fileName: The file's name, without a directory.
    /// - Returns: All bytes of the file.
    /// - Throws: `Owl2Error` (`unreadableFile`, with the path) when it is absent or cannot be read, or when the name
    ///   would lead out of the directory.
    public func file(_ fileName: String) throws -> ByteRegion {
        try checkName(fileName)
        switch source {
        case .directory:
            return try ByteRegion(mappingFile: path(of: fileName))
        case .embedded(let files):
            guard let region = files[fileName] else {
                throw Owl2Error(
                    .unreadableFile, "cannot read \(path(of: fileName)): there is no such file",
                    subject: path(of: fileName))
            }
            return region
        case .gguf(_, let region):
            guard names == [fileName] else {
                throw Owl2Error(
                    .unreadableFile, "cannot read \(fileName): \(name) is a single GGUF file", subject: fileName)
            }
            return region
        }
    }

    /// The content of a file that may be absent.
    ///
    /// - Parameter fileName: The file's name, without a directory.
    /// - Returns: All bytes of the file, or nil when there is none of that name.
    /// - Throws: `Owl2Error` (`unreadableFile`, with the path) when the file is there and cannot be read, or when the
    ///   name would lead out of the directory.
    public func fileIfPresent(_ fileName: String) throws -> ByteRegion? {
        try checkName(fileName)
        return contains(fileName) ? try file(fileName) : nil
    }

    /// Whether there is a file of that name, readable or not.
    func contains(_ fileName: String) -> Bool {
        switch source {
        case .directory:
            var status = stat()
            // A link that leads nowhere is there, and reading it is an error.
            return lstat(path(of: fileName), &status) == 0 || errno != ENOENT
        case .embedded(let files):
            return files[fileName] != nil
        case .gguf:
            return names == [fileName]
        }
    }

    private func path(of fileName: String) -> String {
        name.hasSuffix("/") ? name + fileName : "\(name)/\(fileName)"
    }

    private func checkName(_ fileName: String) throws {
        let isPlain =
            !fileName.isEmpty && fileName != "." && fileName != ".."
            && !fileName.utf8.contains { $0 == 0x2F || $0 == 0x5C || $0 == 0 }
        guard isPlain else {
            throw Owl2Error(
                .unreadableFile,
                "cannot read '\(fileName)' in \(name): expected the plain name of a file in that directory",
                subject: fileName)
        }
    }
}

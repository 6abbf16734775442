import Owl2Core

/// What a file of weights holds.
struct WeightsFile {
    var tensors: [StoredTensor] = []
    /// What was odd about the file, though nothing that keeps it from being used.
    var diagnostics: [String] = []
}

/// Reads the files that `torch.save` writes: a zip archive of a pickle and of raw storages.
///
/// Format: https://pytorch.org/docs/stable/notes/serialization.html
struct PyTorchFile {
    private let region: ByteRegion
    private let fileName: String
    private let archive: ZipArchive
    /// The archive's top directory with its slash.
    private let prefix: String
    private var storages: [String: ByteRegion] = [:]

    /// Reads the names, types and places of all tensors.
    static func read(_ region: ByteRegion, fileName: String) throws -> WeightsFile {
        var file = try PyTorchFile(region, fileName: fileName)
        return try file.read()
    }

    private init(_ region: ByteRegion, fileName: String) throws {
        try Self.checkKind(of: region)
        self.region = region
        self.fileName = fileName
        archive = try ZipArchive(region)
        let programs = archive.names.filter { $0.hasSuffix("/data.pkl") }
        guard let program = programs.first, programs.count == 1 else {
            throw Owl2Error(
                .malformedFile, "\(region.name): expected one member 'NAME/data.pkl', found \(programs.count)",
                subject: region.name)
        }
        prefix = String(program.dropLast("data.pkl".count))
    }

    private mutating func read() throws -> WeightsFile {
        try checkByteOrder()
        var machine = try PickleMachine(archive.member(prefix + "data.pkl"))
        guard case .dictionary(let root) = try machine.run() else {
            throw unsupported("holds no dictionary of tensors")
        }
        var file = WeightsFile()
        let weights = try Self.weights(in: machine, root: root, file: &file, name: region.name)
        guard let weights else { throw unsupported("holds no dictionary of tensors") }
        var names: Set<String> = []
        var ignored: [String] = []
        for (key, value) in machine.dictionaries[weights] {
            guard case .string(let name) = key else { throw unsupported("names a tensor by something else than text") }
            guard case .tensor(let index) = value else {
                ignored.append(name)
                continue
            }
            guard names.insert(name).inserted else {
                throw Owl2Error(.malformedFile, "\(region.name): tensor '\(name)' is there twice", subject: name)
            }
            file.tensors.append(try tensor(machine.tensors[index], name: name))
        }
        if !ignored.isEmpty {
            file.diagnostics.append("\(region.name): ignored what is no tensor: \(listing(ignored))")
        }
        return file
    }

    /// The dictionary of tensors: the outermost one, or one that training tools put inside of it.
    private static func weights(
        in machine: PickleMachine, root: Int, file: inout WeightsFile, name: String
    ) throws -> Int? {
        func isUsable(_ dictionary: Int) -> Bool {
            let entries = machine.dictionaries[dictionary]
            return entries.isEmpty || entries.contains { if case .tensor = $0.value { true } else { false } }
        }
        if isUsable(root) { return root }
        for wanted in ["state_dict", "model_state_dict", "module", "model"] {
            for case (.string(wanted), .dictionary(let inner)) in machine.dictionaries[root] where isUsable(inner) {
                file.diagnostics.append("\(name): took the tensors of its entry '\(wanted)'")
                return inner
            }
        }
        return nil
    }

    private mutating func tensor(_ tensor: PickleTensor, name: String) throws -> StoredTensor {
        let bytes = try storage(tensor.storage)
        return try StoredTensor(
            name: name, shape: tensor.shape, strides: tensor.strides, offset: tensor.offset, type: tensor.storage.type,
            fileName: fileName, storage: bytes)
    }

    /// The bytes of a storage, whose size must be what the pickle claims.
    private mutating func storage(_ storage: PickleStorage) throws -> ByteRegion {
        let member = "\(prefix)data/\(storage.key)"
        let bytes = try storages[storage.key] ?? archive.member(member)
        storages[storage.key] = bytes
        let (expected, overflow) = storage.elementCount.multipliedReportingOverflow(by: storage.type.byteCount)
        guard !overflow, bytes.count == expected else {
            throw Owl2Error(
                .malformedFile,
                "\(region.name): member '\(member)' has \(bytes.count) bytes, expected \(storage.elementCount) elements of"
                    + " type \(storage.type.name)", subject: region.name)
        }
        return bytes
    }

    private func checkByteOrder() throws {
        let member = prefix + "byteorder"
        guard archive.names.contains(member) else { return }
        guard try archive.member(member).bytes.elementsEqual("little".utf8) else {
            throw unsupported("was written with another byte order than little-endian")
        }
    }

    private func unsupported(_ reason: String) -> Owl2Error {
        Owl2Error(.unsupportedFormat, "\(region.name) \(reason)", subject: region.name)
    }

    /// Tells what is no zip archive from the formats that are known.
    private static func checkKind(of region: ByteRegion) throws {
        let bytes = region.bytes
        if bytes.starts(with: [0x50, 0x4B]) { return }
        let isPickle = bytes.count > 2 && bytes[0] == 0x80 && (1...5).contains(bytes[1])
        let isTar = bytes.count > 262 && bytes[257..<262].elementsEqual("ustar".utf8)
        if isPickle || isTar {
            throw Owl2Error(
                .unsupportedFormat,
                "\(region.name) has PyTorch's old format (\(isTar ? "tar" : "bare pickle")): load it in PyTorch 1.6 or"
                    + " later and torch.save it again", subject: region.name)
        }
        try checkIsNoPointer(region)
        throw Owl2Error(
            .malformedFile,
            "\(region.name) is no PyTorch file: expected a zip archive, found \(bytes.count) other bytes",
            subject: region.name)
    }
}

/// Refuses the small text that stands for a large file where Git LFS did not fetch it.
func checkIsNoPointer(_ region: ByteRegion) throws {
    guard region.bytes.starts(with: "version https://git-lfs".utf8) else { return }
    throw Owl2Error(
        .unreadableFile, "\(region.name) is a Git LFS pointer, not the file itself: fetch it with git lfs pull",
        subject: region.name)
}

/// The first of many names, and how many there are besides.
func listing(_ names: [String], limit: Int = 8, separator: String = ", ") -> String {
    let shown = names.prefix(limit).joined(separator: separator)
    return names.count > limit ? "\(shown)\(separator)and \(names.count - limit) more" : shown
}

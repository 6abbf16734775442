import Owl2Core

/// All tensors of a model's files of weights, by their keys.
///
/// Opening a checkpoint reads names, shapes and places alone. The elements stay in the files, which are mapped into
/// memory, in the type in which they are stored. Where a directory has several kinds of files, the first of these is
/// read: `model.safetensors.index.json` and its shards, `model.safetensors`, `pytorch_model.bin.index.json` and its
/// shards, `pytorch_model.bin`. The tensors of a GGUF file have the keys of the published checkpoint.
public final class Checkpoint: Sendable {
    /// The files that the weights were found in.
    public let files: ModelFiles
    /// The layout in words, such as `PyTorch, 33 files`.
    public let layout: String
    /// Every tensor by its key.
    public let tensors: [String: StoredTensor]
    /// What was odd about the files, though nothing that keeps them from being used.
    public let diagnostics: [String]
    /// The number of bytes of all tensors.
    public let byteCount: Int

    /// Opens the files of weights.
    ///
    /// - Parameter files: A model's files.
    /// - Throws: `Owl2Error` when there are no weights, a file that an index names is absent, or one is malformed, of an
    ///   old format, or has a pickle that refers to more than tensors; `CancellationError`.
    public init(_ files: ModelFiles) throws {
        if let gguf = files.gguf {
            self.files = files
            layout = "GGUF, 1 file"
            diagnostics = []
            tensors = try Self.tensors(of: gguf)
            byteCount = tensors.values.reduce(0) { $0.addingReportingOverflow($1.byteCount).partialValue }
            return
        }
        let layout = try CheckpointLayout(of: files)
        var merged = ShardMerger(layout: layout)
        for fileName in layout.fileNames {
            try Task.checkCancellation()
            let region = try files.file(fileName)
            let content =
                switch layout.format {
                case .safetensors: try SafetensorsFile.read(region, fileName: fileName)
                case .pyTorch: try PyTorchFile.read(region, fileName: fileName)
                }
            merged.add(content)
        }
        try merged.checkComplete(in: files)
        self.files = files
        self.layout = layout.description
        tensors = merged.tensors
        diagnostics = merged.diagnostics
        byteCount = tensors.values.reduce(0) { $0.addingReportingOverflow($1.byteCount).partialValue }
    }

    /// A checkpoint of tensors that were made in memory.
    package init(name: String, layout: String, tensors: [StoredTensor]) {
        files = ModelFiles(name: name, embedded: [:])
        self.layout = layout
        self.tensors = Dictionary(tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        diagnostics = []
        byteCount = tensors.reduce(0) { $0 + $1.byteCount }
    }

    /// The tensors by the keys of the published checkpoint. One of an unknown name keeps it.
    private static func tensors(of file: GGUFFile) throws -> [String: StoredTensor] {
        var tensors: [String: StoredTensor] = [:]
        for tensor in file.tensors {
            let key = GGUFTensorNames.key(ofName: tensor.name) ?? tensor.name
            guard tensors.updateValue(tensor.renamed(key), forKey: key) == nil else {
                throw Owl2Error(
                    .malformedFile, "\(file.name): tensor '\(tensor.name)' is there under another name, too",
                    subject: tensor.name)
            }
        }
        return tensors
    }

    /// The name in GGUF of a checkpoint's key, or nil for a key that the model has no use for.
    package static func ggufName(ofKey key: String) -> String? { GGUFTensorNames.name(ofKey: key) }
}

/// Which files hold the weights, and which tensors an index promises in them.
struct CheckpointLayout {
    enum Format: String {
        case safetensors = "safetensors"
        case pyTorch = "PyTorch"
    }

    /// The part of an index that is read; its `metadata` is not reliable.
    private struct Index: Decodable {
        let weightMap: [String: String]

        enum CodingKeys: String, CodingKey {
            case weightMap = "weight_map"
        }
    }

    /// The largest index that is read; that of the published checkpoint has 100 kB.
    private static let maximumIndexByteCount = 64 << 20
    private static let weightFiles: [(name: String, format: Format)] = [
        ("model.safetensors", .safetensors), ("pytorch_model.bin", .pyTorch),
    ]

    let format: Format
    /// The index's name, where there is one.
    let indexName: String?
    /// The file of each tensor as the index has it.
    let weightMap: [String: String]
    /// The files with weights, in the order in which they are read.
    let fileNames: [String]

    /// The layout in words.
    var description: String {
        fileNames.count == 1 ? "\(format.rawValue), 1 file" : "\(format.rawValue), \(fileNames.count) files"
    }

    /// Finds the files of weights.
    init(of files: ModelFiles) throws {
        for (name, format) in Self.weightFiles {
            if let region = try files.fileIfPresent(name + ".index.json") {
                self.format = format
                indexName = name + ".index.json"
                weightMap = try Self.weightMap(of: region)
                fileNames = Set(weightMap.values).sorted()
                try Self.checkPresence(of: fileNames, in: files, indexName: region.name)
                return
            }
            if files.contains(name) {
                self.format = format
                indexName = nil
                weightMap = [:]
                fileNames = [name]
                return
            }
        }
        let names = Self.weightFiles.flatMap { ["\($0.name).index.json", $0.name] }
        throw Owl2Error(
            .unreadableFile, "\(files.name) has no weights: expected one of \(names.joined(separator: ", "))",
            subject: files.name)
    }

    private static func weightMap(of region: ByteRegion) throws -> [String: String] {
        guard region.count <= maximumIndexByteCount else {
            throw Owl2Error(
                .malformedFile, "\(region.name): \(region.count) bytes, more than the \(maximumIndexByteCount) allowed",
                subject: region.name)
        }
        let map = try region.decodeJSON(Index.self).weightMap
        guard !map.isEmpty else {
            throw Owl2Error(.malformedFile, "\(region.name): 'weight_map' names no tensor", subject: region.name)
        }
        return map
    }

    private static func checkPresence(of fileNames: [String], in files: ModelFiles, indexName: String) throws {
        let absent = try fileNames.filter { try files.fileIfPresent($0) == nil }
        guard absent.isEmpty else {
            throw Owl2Error(
                .unreadableFile, "\(indexName) names files that are absent (\(absent.count)): \(listing(absent))",
                subject: indexName)
        }
    }
}

/// Puts the tensors of all files together.
private struct ShardMerger {
    private let layout: CheckpointLayout
    private(set) var tensors: [String: StoredTensor] = [:]
    private(set) var diagnostics: [String] = []
    private var unlisted: [String] = []

    init(layout: CheckpointLayout) {
        self.layout = layout
    }

    /// Adds the tensors of one file; where two have the same key, the index decides, or else the first file.
    mutating func add(_ content: WeightsFile) {
        diagnostics += content.diagnostics
        for tensor in content.tensors {
            let listed = layout.weightMap[tensor.name]
            if listed == nil, layout.indexName != nil { unlisted.append("\(tensor.name) (\(tensor.fileName))") }
            if listed == tensor.fileName || tensors[tensor.name] == nil { tensors[tensor.name] = tensor }
        }
    }

    /// Compares what the files have with what the index promised.
    mutating func checkComplete(in files: ModelFiles) throws {
        guard let indexName = layout.indexName else { return }
        if !unlisted.isEmpty {
            diagnostics.append("\(indexName) does not name tensors that its files have: \(listing(unlisted.sorted()))")
        }
        let lacking = layout.weightMap.filter { tensors[$0.key]?.fileName != $0.value }
        guard lacking.isEmpty else {
            let names = lacking.map { "\($0.key) (\($0.value))" }.sorted()
            throw Owl2Error(
                .malformedFile,
                "\(files.name)/\(indexName) names tensors that their files lack (\(names.count)): \(listing(names))",
                subject: indexName)
        }
    }
}

import Owl2Checkpoint
import Owl2Core
import Owl2Tensor

/// What is written into a GGUF file, in which order, and what it is made from.
struct QuantizationPlan {
    /// A weight and what becomes of it.
    struct Entry {
        let source: StoredTensor
        let sourceType: ElementType
        let target: GGUFTensorPlan
    }

    let metadata: [(key: String, value: GGUFValue)]
    let entries: [Entry]
    /// Weights whose rows the wanted type cannot hold, with what becomes of them.
    let fallbacks: [String: String]
    let diagnostics: [String]

    /// Reads a model's description and makes sure that all of its weights are there.
    ///
    /// - Throws: `Owl2Error`.
    init(_ files: ModelFiles, type: WeightType) throws {
        let checkpoint = try Checkpoint(files), loader = WeightLoader(checkpoint)
        let source = files.source
        let configuration = Owl2Model.adjusting(try source.configuration(), to: loader)
        _ = Owl2Model(loader, configuration: configuration, compute: try Compute(threadCount: 1))
        diagnostics = try checkpoint.diagnostics + loader.finish()
        metadata =
            Self.generalMetadata(type)
            + (try GGUFDescription.metadata(of: source, vocabularySize: configuration.decoder.vocabularySize))
        let policy = WeightTypePolicy(type: type)
        entries = try checkpoint.tensors.values.sorted { Self.order($0.name) < Self.order($1.name) }
            .compactMap { try Self.entry($0, policy) }
        fallbacks = Self.fallbacks(in: checkpoint.tensors, policy)
    }

    private static func generalMetadata(_ type: WeightType) -> [(key: String, value: GGUFValue)] {
        [
            ("general.architecture", .string(ModelFiles.architecture)),
            ("general.type", .string("model")),
            ("general.name", .string("mPLUG-Owl2")),
            ("general.file_type", .uint32(type.fileType)),
            ("general.quantization_version", .uint32(2)),
        ]
    }

    private static func entry(_ tensor: StoredTensor, _ policy: WeightTypePolicy) throws -> Entry? {
        guard let name = Checkpoint.ggufName(ofKey: tensor.name), let type = tensor.elementType else { return nil }
        guard (1...4).contains(tensor.shape.count), tensor.elementCount > 0 else {
            throw Owl2Error(
                .unsupportedFormat,
                "\(tensor.name) has the shape \(tensor.shape); a GGUF file holds 1 to 4 dimensions, none of them zero",
                subject: tensor.name)
        }
        let choice = policy.choice(for: tensor.name, shape: tensor.shape)
        return Entry(
            source: tensor, sourceType: type,
            target: GGUFTensorPlan(name: name, shape: tensor.shape, type: choice.type))
    }

    /// The weights of a file whose rows the wanted type cannot hold.
    static func fallbacks(in tensors: [String: StoredTensor], _ policy: WeightTypePolicy) -> [String: String] {
        tensors.compactMapValues { tensor in
            let choice = policy.choice(for: tensor.name, shape: tensor.shape)
            guard Checkpoint.ggufName(ofKey: tensor.name) != nil, let preferred = choice.preferred else { return nil }
            let stored = choice.type.storedName
            return "\(stored) instead of \(preferred.storedName): rows of \(tensor.shape.last ?? 0) elements"
        }
    }

    /// The order of the file: that of the way through the decoder, then the visual encoder, then the abstractor.
    private static func order(_ key: String) -> OrderKey {
        let name = Checkpoint.ggufName(ofKey: key) ?? key
        let prefixes = ["token_embd.", "blk.", "output_norm.", "output.", "v.", "a."]
        let group = prefixes.firstIndex { name.hasPrefix($0) } ?? prefixes.count
        let layer = name.split(separator: ".").lazy.compactMap { Int($0) }.first ?? -1
        return OrderKey(group: group, layer: layer, name: name)
    }

    private struct OrderKey: Comparable {
        let group: Int
        let layer: Int
        let name: String

        static func < (a: OrderKey, b: OrderKey) -> Bool {
            (a.group, a.layer, a.name) < (b.group, b.layer, b.name)
        }
    }
}

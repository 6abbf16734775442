import Owl2Checkpoint
import Owl2Core
import Owl2Decoder
import Owl2Tensor
import Owl2Vision

/// Sees every number of a configuration with its key in GGUF: to write it, or to set it.
protocol HyperparameterVisitor {
    /// - Parameters:
    ///   - key: The key behind the architecture's name and a dot.
    ///   - path: Where `config.json` has the same.
    mutating func integer(_ key: String, _ path: String, _ value: inout Int) throws
    mutating func number(_ key: String, _ path: String, _ value: inout Double) throws
    mutating func flag(_ key: String, _ path: String, _ value: inout Bool) throws
    mutating func choice<Choice: RawRepresentable<String>>(
        _ key: String, _ path: String, _ value: inout Choice) throws
}

/// The kinds of rotary scaling by their names in GGUF.
private enum ScalingChoice: String {
    case none, linear, dynamic
}

extension ModelConfiguration {
    /// Shows a visitor all hyperparameters: the one list of what GGUF's metadata and a configuration have in common.
    ///
    /// What has one supported value alone, such as the decoder's activation, is not written.
    mutating func visitHyperparameters(_ visitor: inout some HyperparameterVisitor) throws {
        try visitDecoder(&visitor)
        try visitScaling(&visitor)
        try visitVision(&visitor)
        try visitAbstractor(&visitor)
    }

    private mutating func visitDecoder(_ visitor: inout some HyperparameterVisitor) throws {
        try visitor.integer("vocab_size", "vocab_size", &decoder.vocabularySize)
        try visitor.integer("context_length", "max_position_embeddings", &decoder.maxPositionCount)
        try visitor.integer("embedding_length", "hidden_size", &decoder.hiddenSize)
        try visitor.integer("feed_forward_length", "intermediate_size", &decoder.intermediateSize)
        try visitor.integer("block_count", "num_hidden_layers", &decoder.hiddenLayerCount)
        try visitor.integer("attention.head_count", "num_attention_heads", &decoder.attentionHeadCount)
        try visitor.integer("attention.head_count_kv", "num_key_value_heads", &decoder.keyValueHeadCount)
        try visitor.number("attention.layer_norm_rms_epsilon", "rms_norm_eps", &decoder.rmsNormEpsilon)
        try visitor.number("rope.freq_base", "rope_theta", &decoder.ropeTheta)
        try visitor.flag("tie_word_embeddings", "tie_word_embeddings", &decoder.tiesWordEmbeddings)
    }

    private mutating func visitScaling(_ visitor: inout some HyperparameterVisitor) throws {
        var choice = decoder.ropeScaling.map { $0.kind == .linear ? ScalingChoice.linear : .dynamic } ?? .none
        var factor = decoder.ropeScaling?.factor ?? 1
        try visitor.choice("rope.scaling.type", "rope_scaling.type", &choice)
        try visitor.number("rope.scaling.factor", "rope_scaling.factor", &factor)
        decoder.ropeScaling =
            switch choice {
            case .none: nil
            case .linear: RotaryScaling(kind: .linear, factor: factor)
            case .dynamic: RotaryScaling(kind: .dynamic, factor: factor)
            }
    }

    private mutating func visitVision(_ visitor: inout some HyperparameterVisitor) throws {
        let path = "visual_config.visual_model"
        try visitor.integer("vision.image_size", "\(path).image_size", &vision.imageSize)
        try visitor.integer("vision.patch_size", "\(path).patch_size", &vision.patchSize)
        try visitor.integer("vision.embedding_length", "\(path).hidden_size", &vision.hiddenSize)
        try visitor.integer("vision.feed_forward_length", "\(path).intermediate_size", &vision.intermediateSize)
        try visitor.integer("vision.block_count", "\(path).num_hidden_layers", &vision.hiddenLayerCount)
        try visitor.integer("vision.attention.head_count", "\(path).num_attention_heads", &vision.attentionHeadCount)
        try visitor.number(
            "vision.attention.layer_norm_epsilon", "\(path).layer_norm_eps", &vision.layerNormEpsilon)
        try visitor.choice("vision.activation", "\(path).hidden_act", &vision.hiddenActivation)
    }

    private mutating func visitAbstractor(_ visitor: inout some HyperparameterVisitor) throws {
        let path = "visual_config.visual_abstractor"
        try visitor.integer("abstractor.query_count", "\(path).num_learnable_queries", &abstractor.queryCount)
        try visitor.integer("abstractor.grid_size", "\(path).grid_size", &abstractor.gridSize)
        try visitor.integer("abstractor.embedding_length", "\(path).hidden_size", &abstractor.hiddenSize)
        try visitor.integer(
            "abstractor.encoder_embedding_length", "\(path).encoder_hidden_size", &abstractor.encoderHiddenSize)
        try visitor.integer("abstractor.feed_forward_length", "\(path).intermediate_size", &abstractor.intermediateSize)
        try visitor.integer("abstractor.block_count", "\(path).num_hidden_layers", &abstractor.hiddenLayerCount)
        try visitor.integer(
            "abstractor.attention.head_count", "\(path).num_attention_heads", &abstractor.attentionHeadCount)
        try visitor.number("abstractor.layer_norm_epsilon", "\(path).layer_norm_eps", &abstractor.layerNormEpsilon)
    }
}

/// Writes hyperparameters as metadata.
struct HyperparameterWriter: HyperparameterVisitor {
    private(set) var metadata: [(key: String, value: GGUFValue)] = []

    private mutating func append(_ key: String, _ value: GGUFValue) {
        metadata.append(("\(ModelFiles.architecture).\(key)", value))
    }

    mutating func integer(_ key: String, _ path: String, _ value: inout Int) throws {
        // Configurations are checked: every number is far below.
        append(key, .uint32(UInt32(value)))
    }

    mutating func number(_ key: String, _ path: String, _ value: inout Double) throws {
        append(key, .number(value))
    }

    mutating func flag(_ key: String, _ path: String, _ value: inout Bool) throws {
        append(key, .bool(value))
    }

    mutating func choice<Choice: RawRepresentable<String>>(
        _ key: String, _ path: String, _ value: inout Choice
    ) throws {
        append(key, .string(value.rawValue))
    }
}

/// Reads hyperparameters from metadata, and remembers their keys for the errors of a configuration.
struct HyperparameterReader: HyperparameterVisitor {
    private let file: GGUFFile
    private var keys: [String: String] = [:]

    init(_ file: GGUFFile) {
        self.file = file
    }

    private mutating func read<Value: GGUFReadable>(_ key: String, _ path: String) throws -> Value {
        let key = "\(ModelFiles.architecture).\(key)"
        keys[path] = key
        return try file.required(key)
    }

    mutating func integer(_ key: String, _ path: String, _ value: inout Int) throws {
        value = try read(key, path)
    }

    mutating func number(_ key: String, _ path: String, _ value: inout Double) throws {
        value = try read(key, path)
    }

    mutating func flag(_ key: String, _ path: String, _ value: inout Bool) throws {
        value = try read(key, path)
    }

    mutating func choice<Choice: RawRepresentable<String>>(
        _ key: String, _ path: String, _ value: inout Choice
    ) throws {
        let name: String = try read(key, path)
        guard let choice = Choice(rawValue: name) else {
            throw Owl2Error(
                .invalidConfiguration,
                "\(file.name): '\(ModelFiles.architecture).\(key)' is '\(name)', which is not supported",
                subject: "\(ModelFiles.architecture).\(key)")
        }
        value = choice
    }

    /// An error of a configuration with GGUF's key in place of the path in a JSON file.
    func renamed(_ error: Owl2Error) -> Owl2Error {
        let path = error.subject ?? ""
        let place = "config.json: \(path)"
        guard error.message.hasPrefix(place), let key = keys[path] else {
            return Owl2Error(error.code, "\(file.name): \(error.message)", subject: error.subject)
        }
        return Owl2Error(error.code, "\(file.name): \(key)\(error.message.dropFirst(place.count))", subject: key)
    }
}

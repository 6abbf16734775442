import Foundation
import Owl2Core
import Owl2Tensor
import Owl2TestSupport
import Testing

@testable import Owl2Decoder

/// The decoder's configuration and weights.
struct DecoderLoadingTests {
    private let module: TinyModule

    init() throws {
        module = try TinyModule(#require(Bundle.module.resourceURL).appendingPathComponent("Fixtures"))
    }

    private func error(replacing: [String: Any] = [:], without absent: Set<String> = []) throws -> Owl2Error? {
        let configuration = try module.configuration(DecoderConfiguration.self, replacing: replacing)
        let loader = try module.loader(without: absent)
        _ = ModalityAdaptiveDecoder(
            loader.scope, configuration: configuration, compute: try Compute(threadCount: 1))
        return owl2Error { _ = try loader.finish() }
    }

    @Test func missingWeightsAreReportedAtOnce() throws {
        let absent: Set = [
            "model.norm.weight", "model.layers.1.self_attn.v_proj.multiway.1.weight",
            "model.layers.0.input_layernorm.multiway.0.weight", "lm_head.weight",
        ]
        let error = try #require(try error(without: absent))
        #expect(error.code == .missingWeights && error.message.contains("4 tensors are"))
        for name in absent { #expect(error.message.contains("\(name) is missing")) }
        #expect(try self.error() == nil)
    }

    @Test func misshapenWeightsAreReportedAtOnce() throws {
        let error = try #require(try error(replacing: ["num_key_value_heads": 4, "vocab_size": 31]))
        #expect(error.message.contains("10 tensors are"))  // k and v of two modalities in two layers, embeddings, head
        #expect(
            error.message.contains(
                "model.embed_tokens.weight has shape [30, 32] in model.safetensors, expected [31, 32]"))
    }

    @Test func layersWithoutWeightsAreReported() throws {
        let error = try #require(try error(replacing: ["num_hidden_layers": 3]))
        #expect(error.message.contains("13 tensors are") && error.message.contains("model.layers.2."))
    }

    @Test func untiedEmbeddingsWinOverTheSwitch() throws {
        #expect(try error(replacing: ["tie_word_embeddings": true]) == nil)
        let error = try #require(try error(replacing: ["tie_word_embeddings": false], without: ["lm_head.weight"]))
        #expect(error.message.contains("1 tensor is") && error.message.contains("lm_head.weight is missing"))
    }

    @Test(arguments: [
        ("vocab_size", 0), ("vocab_size", Int.max), ("hidden_size", 0), ("hidden_size", 33), ("intermediate_size", -5),
        ("num_hidden_layers", 0), ("num_hidden_layers", Int.max), ("num_attention_heads", 0),
        ("num_attention_heads", 3),
        ("num_key_value_heads", 0), ("num_key_value_heads", 3), ("num_key_value_heads", 8),
        ("max_position_embeddings", 0), ("max_position_embeddings", Int.max), ("rope_theta", 0), ("rms_norm_eps", -1),
    ])
    func absurdNumbersAreNamed(key: String, value: Int) throws {
        let configuration = try module.configuration(DecoderConfiguration.self, replacing: [key: value])
        let error = try #require(owl2Error { try configuration.validate() })
        #expect(error.code == .invalidConfiguration && error.message.contains(key))
        #expect(error.message.hasPrefix("config.json: ") && error.message.contains("found"))
    }

    @Test func unsupportedFeaturesAreNamed() throws {
        let cases: [(key: String, value: Any)] = [
            ("hidden_act", "gelu"), ("attention_bias", true), ("rope_scaling", ["type": "linear", "factor": 0.5]),
            ("rope_scaling", ["type": "dynamic", "factor": 1e9]),
        ]
        for (key, value) in cases {
            let configuration = try module.configuration(DecoderConfiguration.self, replacing: [key: value])
            #expect(owl2Error { try configuration.validate() }?.message.contains(key) == true, "\(key)")
        }
        #expect(throws: DecodingError.self) {
            try module.configuration(
                DecoderConfiguration.self,
                replacing: ["rope_scaling": ["type": "yarn", "factor": 2.0] as [String: Any]])
        }
    }

    @Test func oddHeadsAreRefused() throws {
        let odd = try module.configuration(
            DecoderConfiguration.self, replacing: ["hidden_size": 12, "num_key_value_heads": 4])
        #expect(owl2Error { try odd.validate() }?.message.contains("rotary") == true)
    }

    @Test func thePublishedShapeIsTheDefault() throws {
        let configuration = try JSONDecoder().decode(DecoderConfiguration.self, from: Data("{}".utf8))
        #expect(configuration == DecoderConfiguration())
        #expect(configuration.headDimension == 128 && configuration.contextLength == 2048)
        try configuration.validate()
        var scaled = configuration
        scaled.ropeScaling = RotaryScaling(kind: .linear, factor: 4)
        #expect(scaled.contextLength == 8192)
        let fewer = try JSONDecoder().decode(DecoderConfiguration.self, from: Data(#"{"num_attention_heads": 8}"#.utf8))
        #expect(fewer.keyValueHeadCount == 8)  // as many as query heads where the field is absent
    }
}

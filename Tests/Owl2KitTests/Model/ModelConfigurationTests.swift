import Foundation
import Owl2Bundled
import Owl2Decoder
import Testing

@testable import Owl2Kit

@Suite struct ModelConfigurationTests {
    @Test("Absent fields have the published values") func defaults() throws {
        let configuration = try ModelConfiguration(
            files: TestModels.files(replacing: ["config.json": Data("{}".utf8), "generation_config.json": nil]))
        #expect(configuration == ModelConfiguration())
        #expect(configuration.decoder.rmsNormEpsilon == 1e-6)
        #expect(configuration.vision.patchCount == 1024)
        #expect(configuration.abstractor.outputRowCount == 65)
        #expect(configuration.endTokenIDs == [2])
        #expect(configuration.decoder.contextLength == 2048)
    }

    @Test("Unknown fields are ignored, null is absent, key heads default to the heads") func lenience() throws {
        let configuration = try ModelConfiguration(
            files: TestModels.files(setting: [
                "something_new": ["a": 1], "num_key_value_heads": nil, "rope_scaling": NSNull(),
                "visual_config.visual_model.extra": true, "eos_token_id": 7,
            ]))
        #expect(configuration.decoder.keyValueHeadCount == configuration.decoder.attentionHeadCount)
        #expect(configuration.decoder.ropeScaling == nil)
    }

    @Test("End tokens: a list, from generation_config.json before config.json") func endTokens() throws {
        let list = try ModelConfiguration(
            files: TestModels.files(replacing: ["generation_config.json": Data(#"{"eos_token_id": [2, 5]}"#.utf8)]))
        #expect(list.endTokenIDs == [2, 5])
        let fallback = try ModelConfiguration(
            files: TestModels.files(replacing: [
                "generation_config.json": Data("{}".utf8), "config.json": Data(#"{"eos_token_id": 9}"#.utf8),
            ]))
        #expect(fallback.endTokenIDs == [9])
    }

    @Test("Scaling stretches the context") func scaling() throws {
        let configuration = try ModelConfiguration(
            files: TestModels.files(setting: ["rope_scaling": ["type": "linear", "factor": 2.5]]))
        #expect(configuration.decoder.ropeScaling == RotaryScaling(kind: .linear, factor: 2.5))
        #expect(configuration.decoder.contextLength == 1280)
    }

    struct BadSetting: CustomTestStringConvertible, @unchecked Sendable {
        let key: String, value: Any, mentioned: String
        var testDescription: String { "\(key) = \(value)" }
    }

    static let badSettings: [BadSetting] = [
        ("hidden_size", 0, "hidden_size"), ("hidden_size", -128, "-128"), ("hidden_size", 1 << 40, "hidden_size"),
        ("hidden_size", 130, "num_attention_heads"), ("hidden_size", "128", "hidden_size"),
        ("hidden_size", 128.5, "hidden_size"), ("num_hidden_layers", 1_000_000, "num_hidden_layers"),
        ("num_attention_heads", 0, "num_attention_heads"), ("num_key_value_heads", 3, "num_key_value_heads"),
        ("num_key_value_heads", 8, "num_key_value_heads"), ("vocab_size", -1, "vocab_size"),
        ("rms_norm_eps", -1e-6, "rms_norm_eps"), ("rope_theta", 0, "rope_theta"),
        ("max_position_embeddings", 0, "max_position_embeddings"), ("hidden_act", "relu", "relu"),
        ("attention_bias", true, "attention_bias"),
        ("rope_scaling", ["type": "yarn", "factor": 2], "rope_scaling.type"),
        ("rope_scaling", ["type": "linear"], "rope_scaling.factor"),
        ("rope_scaling", ["type": "linear", "factor": -1], "rope_scaling.factor"),
        ("visual_config.visual_model.hidden_act", "tanh", "visual_config.visual_model.hidden_act"),
        ("visual_config.visual_model.image_size", 100, "image_size"),
        ("visual_config.visual_model.image_size", 1 << 30, "image_size"),
        ("visual_config.visual_model.num_channels", 4, "num_channels"),
        ("visual_config.visual_model.use_cls_token", false, "use_cls_token"),
        ("visual_config.visual_abstractor.grid_size", 9, "grid_size"),
        ("visual_config.visual_abstractor.encoder_hidden_size", 64, "encoder_hidden_size"),
        ("visual_config.visual_abstractor.num_learnable_queries", 0, "num_learnable_queries"),
        ("visual_config", 5, "visual_config"),
    ].map(BadSetting.init)

    @Test("Numbers that make no sense are named", arguments: badSettings)
    func badNumbers(setting: BadSetting) async {
        await expectError(.invalidConfiguration, mentioning: "config.json", setting.mentioned) {
            try ModelConfiguration(files: TestModels.files(setting: [setting.key: setting.value]))
        }
    }

    @Test("A file that is no JSON", arguments: ["", "{", "[1, 2]", "{\"hidden_size\": NaN}", "\u{0}\u{1}"])
    func noJSON(content: String) async {
        do {
            _ = try ModelConfiguration(files: TestModels.files(replacing: ["config.json": Data(content.utf8)]))
            Issue.record("nothing was thrown")
        } catch {
            #expect((error as? Owl2Error)?.message.contains("config.json") == true)
        }
    }

    @Test("End tokens outside of the vocabulary are refused") func badEndToken() async {
        await expectError(.invalidConfiguration, mentioning: "eos_token_id", "768") {
            try ModelConfiguration(
                files: TestModels.files(replacing: ["generation_config.json": Data(#"{"eos_token_id": 768}"#.utf8)]))
        }
    }
}

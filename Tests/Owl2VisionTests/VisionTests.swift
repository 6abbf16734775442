import Foundation
import Owl2Core
import Owl2Tensor
import Owl2TestSupport
import Testing

@testable import Owl2Vision

/// The visual encoder alone, on tiny weights.
struct VisionTests {
    private let module: TinyModule

    init() throws {
        module = try TinyModule(#require(Bundle.module.resourceURL).appendingPathComponent("Fixtures"))
    }

    private func encoder(
        _ activation: String = "quick_gelu", threads: Int = 1, backend: ComputeBackend = .own
    ) throws -> VisionEncoder {
        let configuration = try module.configuration(VisionConfiguration.self, replacing: ["hidden_act": activation])
        try configuration.validate()
        let loader = try module.loader()
        let encoder = VisionEncoder(
            loader.scope["model"]["vision_model"], configuration: configuration,
            compute: try Compute(threadCount: threads, backend: backend))
        #expect(try loader.finish() == [])
        return encoder
    }

    private func pictures() throws -> [[Float]] {
        let values = try module.matrix("pixels").values
        let count = 3 * 12 * 12
        return stride(from: 0, to: values.count, by: count).map { Array(values[$0..<$0 + count]) }
    }

    @Test(arguments: ["quick_gelu", "gelu"], ComputeBackend.allCases)
    func asTheReference(activation: String, backend: ComputeBackend) throws {
        let features = try encoder(activation, backend: backend)(pictures())
        #expect(features.rowCount == 3 * 10 && features.columnCount == 24)
        #expect(difference(features.values, from: try module.matrix(activation).values) == nil)
    }

    @Test func theActivationMatters() throws {
        #expect(difference(try encoder("gelu")(pictures()).values, from: try module.matrix("quick_gelu").values) != nil)
    }

    @Test func aPictureIsTheSameInABatchAndOnAnyThreads() throws {
        let pictures = try pictures()
        let together = bits(try encoder(threads: 3)(pictures))
        let one = try encoder()
        #expect(together == (try pictures.flatMap { bits(try one([$0])) }))
    }

    @Test func cancellationStopsIt() async throws {
        let encoder = try encoder(), pictures = try pictures()
        #expect(await errorWhenCancelled { _ = try encoder(pictures) } is CancellationError)
    }

    @Test func missingWeightsAreReportedAtOnce() throws {
        let absent: Set = [
            "model.vision_model.embeddings.cls_token", "model.vision_model.encoder.layers.1.mlp.fc2.bias",
        ]
        let loader = try module.loader(without: absent)
        let compute = try Compute(threadCount: 1)
        _ = VisionEncoder(
            loader.scope["model"]["vision_model"], configuration: try module.configuration(VisionConfiguration.self),
            compute: compute)
        let error = try #require(owl2Error { _ = try loader.finish() })
        #expect(error.code == .missingWeights && error.message.contains("2 tensors are"))
        for name in absent { #expect(error.message.contains("\(name) is missing")) }
        // nothing at all
        let names = try module.weightNames()
        let empty = try module.loader(without: names.subtracting(["model.vision_model.post_layernorm.bias"]))
        _ = VisionEncoder(
            empty.scope["model"]["vision_model"], configuration: try module.configuration(VisionConfiguration.self),
            compute: compute)
        #expect(empty.problems.count == names.count - 1)
    }

    @Test func misshapenWeightsAreReportedAtOnce() throws {
        let configuration = try module.configuration(
            VisionConfiguration.self, replacing: ["intermediate_size": 44, "image_size": 16])
        let loader = try module.loader()
        _ = VisionEncoder(
            loader.scope["model"]["vision_model"], configuration: configuration, compute: try Compute(threadCount: 1))
        let error = try #require(owl2Error { _ = try loader.finish() })
        #expect(error.message.contains("7 tensors are"))  // positions; fc1's weight and bias, fc2's weight, twice
        #expect(
            error.message.contains(
                "position_embedding has shape [1, 10, 24] in model.safetensors, expected [1, 17, 24]"))
    }

    @Test(arguments: [
        ("hidden_size", 0), ("hidden_size", -24), ("hidden_size", Int.max), ("hidden_size", 25),
        ("intermediate_size", 0),
        ("num_hidden_layers", 0), ("num_hidden_layers", 100_000), ("num_attention_heads", 0),
        ("num_attention_heads", 5),
        ("patch_size", 0), ("image_size", 0), ("image_size", 13), ("image_size", 1 << 40), ("num_channels", 1),
    ])
    func absurdNumbersAreNamed(key: String, value: Int) throws {
        let configuration = try module.configuration(VisionConfiguration.self, replacing: [key: value])
        let error = try #require(owl2Error { try configuration.validate() })
        #expect(
            error.code == .invalidConfiguration && error.message.contains(key) && error.message.contains("\(value)"))
    }

    @Test func unsupportedSwitchesAreNamed() throws {
        for key in ["use_cls_token", "use_post_layernorm"] {
            let configuration = try module.configuration(VisionConfiguration.self, replacing: [key: false])
            #expect(owl2Error { try configuration.validate() }?.message.contains(key) == true)
        }
        let configuration = try module.configuration(VisionConfiguration.self, replacing: ["layer_norm_eps": -1])
        #expect(owl2Error { try configuration.validate() }?.message.contains("layer_norm_eps") == true)
        #expect(throws: (any Error).self) {
            try module.configuration(VisionConfiguration.self, replacing: ["hidden_act": "relu6"])
        }
    }

    @Test func thePublishedShapeIsTheDefault() throws {
        let configuration = try JSONDecoder().decode(VisionConfiguration.self, from: Data("{}".utf8))
        #expect(configuration == VisionConfiguration())
        #expect(configuration.rowCount == 1025 && configuration.headDimension == 64)
        try configuration.validate()
    }
}

import Foundation
import Owl2Core
import Owl2Tensor
import Owl2TestSupport
import Testing

@testable import Owl2Abstractor

/// The visual abstractor alone, on tiny weights.
struct AbstractorTests {
    private let module: TinyModule

    init() throws {
        module = try TinyModule(#require(Bundle.module.resourceURL).appendingPathComponent("Fixtures"))
    }

    private func abstractor(
        positions: [String] = [], threads: Int = 1, backend: ComputeBackend = .own
    ) throws -> VisualAbstractor {
        let configuration = try module.configuration(AbstractorConfiguration.self)
        try configuration.validate()
        let loader = try module.loader(adding: positions)
        let abstractor = VisualAbstractor(
            loader.scope["model"]["visual_abstractor"], configuration: configuration, outputWidth: 20,
            compute: try Compute(threadCount: threads, backend: backend))
        #expect(try loader.finish() == [])
        return abstractor
    }

    @Test(arguments: ComputeBackend.allCases)
    func asTheReferenceWithComputedPositions(backend: ComputeBackend) throws {
        let rows = try abstractor(backend: backend)(module.matrix("features"))
        #expect(rows.rowCount == 3 * 6 && rows.columnCount == 20)
        #expect(difference(rows.values, from: try module.matrix("computed").values) == nil)
    }

    @Test func storedPositionsAreUsed() throws {
        let rows = try abstractor(positions: ["positions"])(module.matrix("features"))
        #expect(difference(rows.values, from: try module.matrix("stored").values) == nil)
        #expect(difference(rows.values, from: try module.matrix("computed").values) != nil)
    }

    @Test func positionTables() throws {
        let queries = PositionTables.queries(count: 5, width: 24)
        #expect(difference(queries.values, from: try module.matrix("queries").values, tolerance: 1e-6) == nil)
        let patches = PositionTables.patches(grid: 3, width: 24)
        #expect(difference(patches.values, from: try module.matrix("patches").values, tolerance: 1e-6) == nil)
        #expect(patches[row: 0].allSatisfy { $0 == 0 })
    }

    @Test func aPictureIsTheSameInABatchAndOnAnyThreads() throws {
        let features = try module.matrix("features")
        let together = bits(try abstractor(threads: 3)(features))
        let one = try abstractor()
        let alone = try (0..<3).flatMap { bits(try one(features.gathering(Array($0 * 10..<($0 + 1) * 10)))) }
        #expect(together == alone)
    }

    @Test func theLastRowIsTheEndRow() throws {
        let rows = try abstractor()(module.matrix("features"))
        #expect(rows[row: 5] == rows[row: 11] && rows[row: 5] == rows[row: 17])
        #expect(rows[row: 4] != rows[row: 10])
    }

    @Test func cancellationStopsIt() async throws {
        let abstractor = try abstractor(), features = try module.matrix("features")
        #expect(await errorWhenCancelled { _ = try abstractor(features) } is CancellationError)
    }

    @Test func missingWeightsAreReportedAtOnce() throws {
        let layer = "model.visual_abstractor.encoder.layers.0.crossattention"
        let absent: Set = ["model.visual_abstractor.vit_eos", "\(layer).normk.bias", "\(layer).output.mlp.w3.weight"]
        let loader = try module.loader(without: absent)
        _ = VisualAbstractor(
            loader.scope["model"]["visual_abstractor"],
            configuration: try module.configuration(AbstractorConfiguration.self), outputWidth: 20,
            compute: try Compute(threadCount: 1))
        let error = try #require(owl2Error { _ = try loader.finish() })
        #expect(error.code == .missingWeights && error.message.contains("3 tensors are"))
        for name in absent { #expect(error.message.contains("\(name) is missing")) }
    }

    @Test func misshapenPositionsAreNotReplaced() throws {
        let loader = try module.loader(adding: ["positions"])
        let configuration = try module.configuration(AbstractorConfiguration.self, replacing: ["grid_size": 4])
        _ = VisualAbstractor(
            loader.scope["model"]["visual_abstractor"], configuration: configuration, outputWidth: 20,
            compute: try Compute(threadCount: 1))
        let error = try #require(owl2Error { _ = try loader.finish() })
        #expect(error.message.contains("2 tensors are") && error.message.contains("expected [17, 24]"))
    }

    @Test(arguments: [
        ("hidden_size", 0), ("hidden_size", 26), ("encoder_hidden_size", 28), ("intermediate_size", -1),
        ("num_hidden_layers", 0), ("num_attention_heads", 0), ("num_attention_heads", 7), ("num_learnable_queries", 0),
        ("num_learnable_queries", Int.max), ("grid_size", 0), ("grid_size", 1 << 40),
    ])
    func absurdNumbersAreNamed(key: String, value: Int) throws {
        let configuration = try module.configuration(AbstractorConfiguration.self, replacing: [key: value])
        let error = try #require(owl2Error { try configuration.validate() })
        #expect(error.code == .invalidConfiguration && error.message.contains("visual_config.visual_abstractor."))
        #expect(error.message.contains(key) && error.message.contains("\(value)"))
    }

    @Test func thePublishedShapeIsTheDefault() throws {
        let configuration = try JSONDecoder().decode(AbstractorConfiguration.self, from: Data("{}".utf8))
        #expect(configuration == AbstractorConfiguration())
        #expect(configuration.outputRowCount == 65 && configuration.encoderRowCount == 1025)
        try configuration.validate()
    }
}

import Owl2Checkpoint
import Owl2Tensor
import Testing

@testable import Owl2Kit

@Suite("Synthetic weights") struct SyntheticWeightsTests {
    @Test(
        "Weights have the types that quantize gives them, are finite and do not overlap", arguments: WeightType.allCases
    )
    func weights(_ type: WeightType) throws {
        let checkpoint = try SyntheticWeights.checkpoint(.small, type: type, compute: Compute(threadCount: 2))
        let policy = WeightTypePolicy(type: type)
        #expect(checkpoint.tensors.count > 100)
        for (key, tensor) in checkpoint.tensors {
            #expect(Checkpoint.ggufName(ofKey: key) != nil, "\(key)")
            #expect(tensor.elementType == policy.choice(for: key, shape: tensor.shape).type, "\(key)")
            #expect(try tensor.nonFiniteCount() == 0, "\(key)")
            let values = try #require(tensor.elementType).float32(tensor.contents())
            let deviation = values.reduce(0) { $0 + Double($1) * Double($1) } / Double(values.count)
            #expect(deviation > 1e-5 && deviation < 2, "\(key): \(deviation)")
        }
        let places = checkpoint.tensors.values.map { $0.contents().bytes }.sorted {
            UInt(bitPattern: $0.baseAddress) < UInt(bitPattern: $1.baseAddress)
        }
        for (a, b) in zip(places, places.dropFirst()) {
            #expect(UInt(bitPattern: a.baseAddress) + UInt(a.count) <= UInt(bitPattern: b.baseAddress))
        }
    }

    @Test("Layers differ from each other")
    func layersDiffer() throws {
        let checkpoint = try SyntheticWeights.checkpoint(.small, type: .q4_0, compute: Compute(threadCount: 2))
        func bytes(_ layer: Int) throws -> [UInt8] {
            Array(try #require(checkpoint.tensors["model.layers.\(layer).mlp.up_proj.weight"]).contents().bytes)
        }
        #expect(try bytes(0) != bytes(1))
    }

    @Test("The model loads without a word, and answers", arguments: [WeightType.f16, .q4_0])
    func loads(_ type: WeightType) async throws {
        let checkpoint = try SyntheticWeights.checkpoint(.small, type: type, compute: Compute(threadCount: 2))
        let owl = try Owl2Pipeline(SyntheticDescription(shape: .small), LoadOptions(threadCount: 2)) { checkpoint }
        #expect(owl.diagnostics == [])
        #expect(owl.loadedByteCount > 0 && owl.loadedByteCount < checkpoint.byteCount)
        var parameters = GenerateParameters()
        parameters.maxNewTokens = 3
        _ = try await owl.respond(to: "w1 w2", images: [TestModels.redCircle], parameters: parameters)
    }

    @Test("Operations and bytes, counted by hand for the small shape")
    func counts() throws {
        let checkpoint = try SyntheticWeights.checkpoint(.small, type: .f16, compute: Compute(threadCount: 2))
        let counts = WorkCounts(checkpoint, SyntheticShape.small.configuration)
        let layer = 4 * 256 * 256 + 3 * 256 * 704, head = 768 * 256
        #expect(counts.layerWeightCount == 4 * layer)
        #expect(counts.headWeightCount == head)
        #expect(counts.stepByteCount == 2 * (4 * layer + head) + 4 * 4 * 2 * 256)
        #expect(counts.prefillOperationCount(rows: 10) == Double(2 * (10 * 4 * layer + head)))
        let block = 4 * 128 * 128 + 2 * 128 * 512
        let vision = 1024 * 128 * 3 * 14 * 14 + 3 * 1025 * block
        let reading = 2 * 128 * 128 * (64 + 1025), rest = 64 * (2 * 128 * 128 + 3 * 128 * 352)
        let abstractor = 2 * (reading + rest) + 64 * 128 * 256
        #expect(counts.imageOperationCount == 2 * Double(vision + abstractor))
        #expect(counts.elementType == .float16)
        #expect(counts.productBound(.own) == .float32)
    }
}

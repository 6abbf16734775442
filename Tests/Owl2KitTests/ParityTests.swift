import Foundation
import Owl2Decoder
import Testing

@testable import Owl2Kit

/// The product against what the PyTorch reference computed on random checkpoints: `Documentation/Fixtures.md` tells how
/// the fixtures were made, and the tolerances.
@Suite struct ParityTests {
    struct Case: Decodable, CustomTestStringConvertible {
        let name: String
        let images: [String]
        let steps: Int
        var testDescription: String { name }

        var folder: URL { ParityTests.folder.appendingPathComponent(name) }

        func input() throws -> UserInput {
            .raw(
                try String(contentsOf: folder.appendingPathComponent("prompt.txt"), encoding: .utf8),
                images: images.map { .file(folder.appendingPathComponent($0)) })
        }

        func expected() throws -> Checkpoint {
            let file = folder.appendingPathComponent("expected.safetensors")
            let region = try ByteRegion(mappingFile: file.path)
            return try Checkpoint(ModelFiles(name: name, embedded: ["model.safetensors": region]))
        }

        func load(_ options: LoadOptions = LoadOptions(threadCount: 2)) async throws -> Owl2Pipeline {
            try await Owl2Pipeline.load(from: folder, options: options)
        }
    }

    static let folder = Bundle.module.bundleURL.appendingPathComponent("Fixtures/Parity")

    static let cases: [Case] = {
        let list = try? Data(contentsOf: folder.appendingPathComponent("cases.json"))
        return list.flatMap { try? JSONDecoder().decode([Case].self, from: $0) } ?? []
    }()

    @Test("The fixtures are there") func fixtures() {
        #expect(Self.cases.count >= 6)
    }

    @Test("Every tensor from pixels to logits", arguments: cases, ComputeBackend.allCases)
    func trace(reference: Case, backend: ComputeBackend) async throws {
        let owl = try await reference.load(LoadOptions(threadCount: 2, backend: backend))
        let found = try await owl.trace(reference.input())
        let expected = try reference.expected()
        #expect(Set(found.map(\.name) + ["greedy"]) == Set(expected.tensors.keys))
        for tensor in found {
            let wanted = try #require(expected.tensors[tensor.name])
            #expect(tensor.shape == wanted.shape, "\(tensor.name)")
            switch tensor.values {
            case .float32(let values):
                let reference = WeightLoader(expected).scope.array(tensor.name, shape: tensor.shape)
                if tensor.name == "pixel_values" {
                    #expect(values.map(\.bitPattern) == reference.map(\.bitPattern))
                } else {
                    expectClose(values, reference, ofLargest: 5e-5, tensor.name)
                }
            case .int64(let values): #expect(values == integers(wanted))
            }
        }
    }

    private func integers(_ tensor: StoredTensor) -> [Int64] {
        let contents = tensor.contents()
        return withExtendedLifetime(contents) {
            contents.bytes.withMemoryRebound(to: Int64.self) { words in words.map { Int64(littleEndian: $0) } }
        }
    }

    @Test("Greedy tokens", arguments: cases)
    func greedy(reference: Case) async throws {
        let owl = try await reference.load()
        let wanted = try integers(#require(reference.expected().tensors["greedy"])).map(Int.init).filter { $0 != 2 }
        #expect(!wanted.isEmpty)
        for try await event in owl.generate(
            try reference.input(), parameters: GenerateParameters(maxNewTokens: reference.steps))
        {
            if case .info(let info) = event { #expect(info.tokens == wanted) }
        }
    }

    @Test("Cached steps equal one pass, bit for bit", arguments: cases)
    func cachedSteps(reference: Case) async throws {
        let owl = try await reference.load()
        let prompt = try owl.prepare(reference.input())
        let rows = try owl.splice(prompt, owl.encode(prompt, nil).rows)
        let whole = try owl.model.prefill(rows, into: owl.makeCache(), wanting: .last)
        // passes of odd sizes, then single rows
        let cache = owl.makeCache()
        var last = whole, at = 0
        for size in [3, 1, 5] + Array(repeating: 1, count: prompt.rowCount) where at < prompt.rowCount {
            let range = at..<min(at + size, prompt.rowCount)
            last = try owl.model.prefill(
                PromptRows(
                    embeddings: rows.embeddings.gathering(Array(range)), modalities: Array(rows.modalities[range])),
                into: cache)
            at = range.upperBound
        }
        #expect(last.values == whole.values)
    }

    @Test("Sequences in one pass are as if they were alone, bit for bit", arguments: cases)
    func sequencesTogether(reference: Case) async throws {
        let owl = try await reference.load()
        let prompt = try owl.prepare(reference.input())
        let rows = try owl.splice(prompt, owl.encode(prompt, nil).rows)
        let count = prompt.rowCount
        let alone = try owl.model.prefill(rows, into: owl.makeCache(), wanting: .last)
        // the same sequence whole and shortened beside it
        let shortened = Array(0..<max(1, count / 2))
        let together = try owl.model.decoder.forward(
            rows.embeddings.gathering(shortened + Array(0..<count)),
            rows: shortened.map { DecoderRow(sequence: 0, position: $0, modality: rows.modalities[$0]) }
                + (0..<count).map { DecoderRow(sequence: 1, position: $0, modality: rows.modalities[$0]) },
            caches: [owl.makeCache(), owl.makeCache()],
            logitRows: [shortened.count + count - 1])
        #expect(together.values == alone.values)
    }
}

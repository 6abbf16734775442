import Foundation
import Owl2Bundled
import Testing

@testable import Owl2Kit

@Suite struct LoadingTests {
    private func load(_ files: ModelFiles) async throws -> Owl2Pipeline {
        try await Owl2Pipeline.load(from: files, options: LoadOptions(threadCount: 1))
    }

    @Test("All missing and misshaped weights are in one error") func allProblems() async {
        await expectError(
            .missingWeights, mentioning: "model.layers.4.self_attn.q_proj.weight", "missing", "more"
        ) {
            try await load(TestModels.files(setting: ["num_hidden_layers": 6]))
        }
        await expectError(
            .missingWeights, mentioning: "model.layers.0.mlp.gate_proj.weight", "[352, 128]", "[360, 128]"
        ) {
            try await load(TestModels.files(setting: ["intermediate_size": 360]))
        }
    }

    @Test("Weights that the model has no use for are a warning") func unexpected() async throws {
        let owl = try await load(TestModels.files(setting: ["num_hidden_layers": 3]))
        #expect(owl.diagnostics.contains { $0.contains("model.layers.3.self_attn.q_proj.weight") })
        #expect(try await TestModels.bundled.value.diagnostics.isEmpty)
    }

    @Test("The vocabulary's size is that of the embeddings") func vocabulary() async throws {
        let owl = try await load(TestModels.files(setting: ["vocab_size": 32_000]))
        #expect(owl.configuration.decoder.vocabularySize == 768)
        #expect(owl.diagnostics.contains { $0.contains("vocab_size") })
    }

    @Test("Missing files are named", arguments: ["config.json", "tokenizer.model", "pytorch_model.bin"])
    func missingFile(name: String) async throws {
        let files = try TestModels.files(replacing: [name: nil])
        do {
            _ = try await load(files)
            Issue.record("nothing was thrown")
        } catch let error as Owl2Error {
            #expect(error.message.contains(name), "\(error.message)")
        }
    }

    @Test("A directory that is absent or a file") func directories() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("owl2-\(UUID().uuidString)")
        await expectError(.unreadableFile, mentioning: folder.path) { try await Owl2Pipeline.load(from: folder) }
        try Data("x".utf8).write(to: folder)
        defer { try? FileManager.default.removeItem(at: folder) }
        await expectError(.unreadableFile, mentioning: folder.path) { try await Owl2Pipeline.load(from: folder) }
    }

    @Test("A thread count that makes no sense", arguments: [0, -3, 100_000])
    func threadCount(count: Int) async throws {
        await expectError(.invalidInput, mentioning: "threads", "\(count)") {
            try await Owl2Pipeline.bundled(options: LoadOptions(threadCount: count))
        }
    }

    @Test("Loading tells how far it is") func progress() async throws {
        let seen = Collected<Double>()
        _ = try await Owl2Pipeline.bundled { progress in
            #expect(progress.stage == .loading)
            seen.append(progress.fractionCompleted)
        }
        #expect(seen.values.first == 0 && seen.values.last == 1)
        #expect(seen.values == seen.values.sorted())
    }

    @Test("Inspection counts parameters and finds NaN") func inspection() async throws {
        let sound = try await ModelInspection.inspect(BundledModel.files)
        #expect(sound.problems.isEmpty && sound.unexpected.isEmpty && sound.nonFinite.isEmpty)
        #expect(sound.parts.map(\.name).starts(with: ["visual encoder", "visual abstractor", "token embeddings"]))
        let halves = sound.parts.compactMap { $0.elementTypes["F16"] }.reduce(0, +)
        #expect(halves > 100)
        let key = "model.norm.weight"
        let sick = try await ModelInspection.inspect(TestModels.weights(replacing: key, element: 3, withHalf: 0x7e00))
        #expect(sick.nonFinite == [key: 1])
        let short = try await ModelInspection.inspect(TestModels.files(setting: ["num_hidden_layers": 5]))
        #expect(short.problems.contains { $0.contains("model.layers.4.mlp.up_proj.weight") })
    }
}

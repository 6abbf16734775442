import Foundation
import Owl2Bundled
import Testing

@testable import Owl2Kit

/// A model as one GGUF file.
@Suite struct ModelQuantizerTests {
    /// A directory of its own, which goes away with the value.
    final class Folder: Sendable {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("owl2-\(UUID().uuidString)")
        var file: URL { url.appendingPathComponent("model.gguf") }
        var names: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: url.path) } }

        init() throws {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        }

        deinit {
            do { try FileManager.default.removeItem(at: url) } catch { Issue.record(error) }
        }
    }

    @Test("The bundled model through f16 is the same model, bit for bit") func roundTrip() async throws {
        let folder = try Folder()
        let report = try await ModelQuantizer(type: .f16, threadCount: 2).quantize(BundledModel.files, to: folder.file)
        #expect(report.fallbacks.isEmpty && report.diagnostics.isEmpty)
        #expect(Set(report.elementTypes.keys) == ["F16", "F32"])
        #expect(try folder.names == ["model.gguf"])
        let original = try await TestModels.bundled.value
        let copy = try await Owl2Pipeline.load(from: folder.file, options: LoadOptions(threadCount: 2))
        #expect(copy.diagnostics.isEmpty)
        #expect(copy.configuration == original.configuration)
        #expect(copy.preprocessor.configuration.imageMean == original.preprocessor.configuration.imageMean)
        #expect(
            copy.preprocessor.configuration.imageStandardDeviation
                == original.preprocessor.configuration.imageStandardDeviation)
        for text in ["", "What color is the circle?", "  two  spaces\n", "é🦉 日本 </s><|image|>"] {
            #expect(copy.tokenizer.encode(text) == original.tokenizer.encode(text))
        }
        let input = UserInput(prompt: "How many shapes are there?", images: [TestModels.redCircle])
        let found = try await copy.logits(of: input), expected = try await original.logits(of: input)
        #expect(found.values.map(\.bitPattern) == expected.values.map(\.bitPattern))
        #expect(try await copy.respond(to: "What color is the circle?", images: [TestModels.redCircle]) == "Red")
    }

    @Test("The bundled model in blocks answers as before", arguments: [WeightType.q8_0, .q4_k, .q6_k])
    func answers(type: WeightType) async throws {
        let folder = try Folder()
        try await ModelQuantizer(type: type).quantize(BundledModel.files, to: folder.file)
        let original = try await TestModels.bundled.value
        let copy = try await Owl2Pipeline.load(from: folder.file, options: LoadOptions(threadCount: 2))
        let input = UserInput(prompt: "What color is the square?", images: [TestModels.blueSquare])
        let found = try await copy.logits(of: input), expected = try await original.logits(of: input)
        expectClose(found.values, expected.values, ofLargest: 0.1, "logits")
        #expect(found.values != expected.values)
        #expect(try await copy.respond(to: "What color is the circle?", images: [TestModels.redCircle]) == "Red")
        #expect(try await copy.respond(to: "What color is the square?", images: [TestModels.blueSquare]) == "Blue")
    }

    @Test("A GGUF file can be quantised again, and gives what the original gives") func again() async throws {
        let folder = try Folder(), half = folder.url.appendingPathComponent("half.gguf")
        try await ModelQuantizer(type: .f16).quantize(BundledModel.files, to: half)
        let direct = folder.url.appendingPathComponent("direct.gguf")
        try await ModelQuantizer(type: .q4_0).quantize(BundledModel.files, to: direct)
        try await ModelQuantizer(type: .q4_0, threadCount: 1).quantize(ModelFiles(at: half), to: folder.file)
        #expect(try Data(contentsOf: direct) == Data(contentsOf: folder.file))
    }

    @Test(
        "Rows that a type cannot hold fall back, and inspection shows it",
        arguments: [
            (WeightType.q4_k, "Q8_0 instead of Q4_K"), (.q6_k, "Q8_0 instead of Q6_K"),
        ])
    func fallbacks(type: WeightType, expected: String) async throws {
        let folder = try Folder()
        let report = try await ModelQuantizer(type: type).quantize(BundledModel.files, to: folder.file)
        let inspection = try await ModelInspection.inspect(ModelFiles(at: folder.file))
        #expect(inspection.problems.isEmpty && inspection.unexpected.isEmpty && inspection.nonFinite.isEmpty)
        #expect(inspection.layout == "GGUF, 1 file")
        #expect(inspection.fallbacks == report.fallbacks)
        let key = "model.layers.0.mlp.down_proj.weight"
        #expect(report.fallbacks[key]?.hasPrefix(expected) == true, "\(report.fallbacks[key] ?? "none")")
        #expect(report.fallbacks["lm_head.weight"] == nil)
        #expect(inspection.parts.reduce(0) { $0 + $1.byteCount } == report.byteCount)
    }

    @Test("The rules for types") func rules() {
        func type(_ weightType: WeightType, _ key: String, _ shape: [Int]) -> ElementType {
            WeightTypePolicy(type: weightType).choice(for: key, shape: shape).type
        }
        let matrix = "model.layers.0.mlp.up_proj.weight"
        #expect(type(.q4_k, matrix, [8, 512]) == .q4_k)
        #expect(type(.q4_k, matrix, [8, 96]) == .q8_0)
        #expect(type(.q6_k, matrix, [8, 40]) == .float16)
        #expect(type(.q4_0, matrix, [8, 96]) == .q4_0)
        #expect(type(.q4_0, matrix, [8, 33]) == .float16)
        #expect(type(.bf16, matrix, [8, 33]) == .bfloat16)
        #expect(type(.q4_0, "lm_head.weight", [8, 512]) == .q8_0)
        #expect(type(.f16, "model.embed_tokens.weight", [8, 512]) == .float16)
        #expect(type(.q4_0, "model.norm.weight", [512]) == .float32)
        #expect(type(.f16, "model.vision_model.embeddings.patch_embed.weight", [32, 3, 14, 14]) == .float32)
        #expect(type(.q8_0, "model.visual_abstractor.query_embeds", [1, 16, 96]) == .float32)
    }

    @Test("A weight that is not finite is named, and no file stays") func nonFinite() async throws {
        let folder = try Folder(), key = "model.layers.2.mlp.gate_proj.weight"
        for type in WeightType.allCases {
            await expectError(.nonFiniteValue, mentioning: key, "row 1, column 2", "nan") {
                let files = try TestModels.weights(replacing: key, element: 130, withHalf: 0x7E00)
                return try await ModelQuantizer(type: type).quantize(files, to: folder.file)
            }
        }
        #expect(try folder.names.isEmpty)
    }

    @Test("A weight that is too large for half precision is named") func overflow() async throws {
        let directory = try #require(Bundle.module.resourceURL)
            .appendingPathComponent("Fixtures/Parity/single-safetensors-grouped")
        let original = try ModelFiles(directory: directory), key = "model.layers.1.self_attn.o_proj.weight"
        var regions: [String: ByteRegion] = [:]
        for name in original.names { regions[name] = try original.file(name) }
        let contents = try #require(Checkpoint(original).tensors[key]).contents()
        let folder = try Folder()
        let loaded = try Data(contentsOf: directory.appendingPathComponent("model.safetensors"))
        let place = try place(of: contents, in: loaded)
        var spoilt = loaded
        withUnsafeBytes(of: Float(70_000).bitPattern.littleEndian) {
            spoilt.replaceSubrange(place..<place + 4, with: $0)
        }
        regions["model.safetensors"] = ByteRegion(name: "model.safetensors", copying: spoilt)
        let files = ModelFiles(name: "changed", embedded: regions)
        await expectError(.nonFiniteValue, mentioning: key, "row 0, column 0", "70000", "F16") {
            try await ModelQuantizer(type: .f16).quantize(files, to: folder.file)
        }
        #expect(try folder.names.isEmpty)
        try await ModelQuantizer(type: .bf16).quantize(files, to: folder.file)
        #expect(try folder.names == ["model.gguf"])
    }

    /// Where a tensor's elements begin in the file that holds them.
    private func place(of contents: ByteRegion, in file: Data) throws -> Int {
        let elements = withExtendedLifetime(contents) { Data(contents.bytes) }
        return try #require(file.range(of: elements)).lowerBound
    }

    @Test("An incomplete model is not written") func incomplete() async throws {
        let folder = try Folder()
        await expectError(.missingWeights, mentioning: "model.layers.4.mlp.up_proj.weight") {
            let files = try TestModels.files(setting: ["num_hidden_layers": 5])
            return try await ModelQuantizer(type: .q8_0).quantize(files, to: folder.file)
        }
        #expect(try folder.names.isEmpty)
    }

    @Test("Cancelling leaves nothing; progress comes to its end") func cancellation() async throws {
        let folder = try Folder(), file = folder.file, seen = Collected<Double>()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await ModelQuantizer(type: .q8_0).quantize(BundledModel.files, to: file)
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try folder.names.isEmpty)
        try await ModelQuantizer(type: .q8_0).quantize(BundledModel.files, to: folder.file) { progress in
            #expect(progress.stage == .quantizing)
            seen.append(progress.fractionCompleted)
        }
        #expect(seen.values.first == 0 && seen.values.last == 1 && seen.values == seen.values.sorted())
    }
}

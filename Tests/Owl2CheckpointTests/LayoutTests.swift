import Foundation
import Owl2Checkpoint
import Owl2Core
import Owl2TestSupport
import Testing

/// Checkpoints of every layout against what PyTorch read from them, byte by byte.
struct LayoutTests {
    static let directories = [
        "bin-single", "bin-protocol3", "bin-protocol4", "bin-protocol5", "bin-state-dict", "bin-nested",
        "bin-published",
        "bin-numbered", "safetensors-single", "safetensors-sharded",
    ]

    @Test(arguments: directories)
    func tensorsAreThoseOfPyTorch(directory: String) throws {
        let expected = try Fixtures.expected(directory)
        let checkpoint = try Checkpoint(ModelFiles(directory: Fixtures.url(directory)))
        #expect(checkpoint.layout == expected.layout)
        #expect(Set(checkpoint.tensors.keys) == Set(expected.tensors.keys))
        var byteCount = 0
        for (name, reference) in expected.tensors {
            let tensor = try #require(checkpoint.tensors[name])
            #expect(tensor.name == name)
            #expect(tensor.shape == reference.shape, "\(name)")
            #expect(tensor.storedTypeName == reference.type, "\(name)")
            #expect(hex(tensor.contents().array) == reference.hex, "\(name)")
            #expect(tensor.byteCount == reference.hex.utf8.count / 2, "\(name)")
            byteCount += tensor.byteCount
        }
        #expect(checkpoint.byteCount == byteCount)
        #expect(checkpoint.diagnostics.isEmpty == (directory != "bin-nested"), "\(checkpoint.diagnostics)")
    }

    @Test func nestedDictionariesAreMentioned() throws {
        let checkpoint = try Checkpoint(ModelFiles(directory: Fixtures.url("bin-nested")))
        #expect(checkpoint.diagnostics.count == 1)
        #expect(checkpoint.diagnostics.first?.contains("'state_dict'") == true)
    }

    @Test func usableTypesAreThoseOfTheArithmetic() throws {
        let checkpoint = try Checkpoint(ModelFiles(directory: Fixtures.url("bin-single")))
        let usable = checkpoint.tensors.filter { $0.key.hasPrefix("types.") && $0.value.elementType != nil }
        #expect(Set(usable.keys) == ["types.F32", "types.F16", "types.BF16"])
    }

    @Test func contiguousTensorsAreNotCopied() throws {
        let files = try ModelFiles(directory: Fixtures.url("bin-single"))
        let tensors = try Checkpoint(files).tensors
        let base = try #require(tensors["view.base"]).contents()
        let rows = try #require(tensors["view.rows"]).contents()
        #expect(rows.bytes.baseAddress == base.bytes.baseAddress.map { $0 + 6 * 4 })
        #expect(base.bytes.baseAddress == tensors["view.base"]?.contents().bytes.baseAddress)
    }

    @Test func safetensorsArePreferred() throws {
        let shards = [
            "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors",
            "model.safetensors.index.json",
        ]
        var files: [String: [UInt8]] = [:]
        for name in shards { files[name] = try Fixtures.bytes("safetensors-sharded/\(name)") }
        files["pytorch_model.bin"] = try Fixtures.bytes("bin-single/pytorch_model.bin")
        #expect(try openCheckpoint(files).layout == "safetensors, 3 files")
        files["model.safetensors.index.json"] = nil
        #expect(try openCheckpoint(files).layout == "PyTorch, 1 file")
        files["model.safetensors"] = try Fixtures.bytes("safetensors-single/model.safetensors")
        #expect(try openCheckpoint(files).layout == "safetensors, 1 file")
    }

    @Test func aDirectoryWithoutWeightsIsAnError() {
        expectError(.unreadableFile, "memory has no weights", "model.safetensors", "pytorch_model.bin.index.json") {
            try openCheckpoint(["config.json": [0x7B, 0x7D]])
        }
    }

    @Test(arguments: [
        ("legacy.bin", "old format (bare pickle): load it in PyTorch 1.6 or later and torch.save it again"),
        ("module.bin", "'torch.nn.modules.linear.Linear', which is refused"),
        ("numbers.bin", "holds no dictionary of tensors"), ("tensor.bin", "holds no dictionary of tensors"),
        ("complex.bin", "'torch.ComplexFloatStorage', which is refused"),
    ])
    func whatIsNoDictionaryOfTensorsIsRefused(file: String, reason: String) throws {
        let bytes = try Fixtures.bytes("refused/\(file)")
        expectError(.unsupportedFormat, "memory/pytorch_model.bin", reason) { try openPyTorch(bytes) }
    }

    @Test func oldAndForeignFilesAreTold() {
        var tar = [UInt8](repeating: 0, count: 512)
        tar.replaceSubrange(257..<262, with: Array("ustar".utf8))
        expectError(.unsupportedFormat, "old format (tar)", "torch.save it again") { try openPyTorch(tar) }
        let pointer = Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".utf8)
        expectError(.unreadableFile, "Git LFS pointer") { try openPyTorch(pointer) }
        expectError(.unreadableFile, "Git LFS pointer") { try openSafetensors(pointer) }
        expectError(.malformedFile, "no PyTorch file") { try openPyTorch(Array("<html>".utf8)) }
        expectError(.malformedFile, "no PyTorch file") { try openPyTorch([]) }
    }
}

import Foundation
import Owl2Checkpoint
import Owl2Core
import Owl2TestSupport
import Testing

/// Safetensors that are written here and read again.
struct SafetensorsWriterTests {
    @Test func whatIsWrittenIsRead() throws {
        let directory = try TemporaryDirectory()
        let url = directory.url.appendingPathComponent("model.safetensors")
        try Data("old".utf8).write(to: url)
        var writer = SafetensorsWriter()
        writer.add("logits", shape: [2, 2], float32: [1, -0.0, .infinity, 4])
        writer.add("odd \"name\" \\ \n é", shape: [3], float32: [1, 2, 3])
        writer.add("input_ids", shape: [3], int64: [1, -200, .max])
        writer.add("empty", shape: [0, 4], float32: [])
        try writer.write(to: url)

        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.url.path) == ["model.safetensors"])
        let checkpoint = try Checkpoint(ModelFiles(directory: directory.url))
        #expect(checkpoint.tensors.count == 4)
        let logits = try #require(checkpoint.tensors["logits"])
        #expect(logits.shape == [2, 2] && logits.storedTypeName == "F32")
        #expect(logits.contents().array == Array(floatBytes([1, -0.0, .infinity, 4])))
        let ids = try #require(checkpoint.tensors["input_ids"])
        #expect(ids.storedTypeName == "I64")
        #expect(ids.contents().array == Array([1, -200, Int64.max].flatMap { littleEndian($0) }))
        #expect(checkpoint.tensors["odd \"name\" \\ \n é"]?.shape == [3])
        #expect(checkpoint.tensors["empty"]?.shape == [0, 4])
    }

    @Test func elementsAreAligned() throws {
        let directory = try TemporaryDirectory()
        let url = directory.url.appendingPathComponent("a")
        var writer = SafetensorsWriter()
        writer.add("a", shape: [1], float32: [1])
        writer.add("b", shape: [1], int64: [1])
        try writer.write(to: url)
        let bytes = [UInt8](try Data(contentsOf: url))
        let headerLength = bytes[0..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        #expect(headerLength.isMultiple(of: 8))
        #expect(Array(bytes[(8 + headerLength)...]) == littleEndian(Int64(1)) + floatBytes([1]))
    }

    @Test func whatCannotBeWrittenIsAnError() throws {
        let directory = try TemporaryDirectory()
        let url = directory.url.appendingPathComponent("absent/x.safetensors")
        expectError(.unwritableFile, "cannot write \(url.path): No such file or directory") {
            try SafetensorsWriter().write(to: url)
        }
        expectError(.unwritableFile, directory.url.path, "it is a directory") {
            try SafetensorsWriter().write(to: directory.url)
        }
    }

    @Test func whatIsNoFileIsNotReplaced() throws {
        let directory = try TemporaryDirectory()
        let pipe = directory.url.appendingPathComponent("pipe")
        try #require(mkfifo(pipe.path, 0o600) == 0)
        let link = directory.url.appendingPathComponent("link")
        try FileManager.default.createSymbolicLink(at: link, withDestinationURL: pipe)
        for url in [pipe, link] {
            expectError(.unwritableFile, pipe.path, "it is not a regular file") {
                try SafetensorsWriter().write(to: url)
            }
        }
        let type = try FileManager.default.attributesOfItem(atPath: pipe.path)[.type] as? FileAttributeType
        #expect(type != .typeRegular)
    }
}

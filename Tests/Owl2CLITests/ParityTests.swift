import Foundation
import Owl2Kit
import Testing

/// The executable's files and tokens against the reference's, on the fixtures that `Documentation/Fixtures.md` describes.
@Suite("owl2 against the reference", .enabled(if: Program.isBuilt, Program.absence)) struct ParityTests {
    struct Case: Decodable, CustomTestStringConvertible {
        let name: String
        let images: [String]
        let steps: Int
        var testDescription: String { name }

        var folder: URL { Program.parity.appendingPathComponent(name) }
        var flags: [String] { images.flatMap { ["--image", folder.appendingPathComponent($0).path] } }

        func prompt() throws -> String {
            try String(contentsOf: folder.appendingPathComponent("prompt.txt"), encoding: .utf8)
        }

        func expected() throws -> Checkpoint {
            try tensors(folder.appendingPathComponent("expected.safetensors"))
        }
    }

    static let cases: [Case] = {
        let list = try? Data(contentsOf: Program.parity.appendingPathComponent("cases.json"))
        return list.flatMap { try? JSONDecoder().decode([Case].self, from: $0) } ?? []
    }()

    @Test("The fixtures are there") func fixtures() {
        #expect(Self.cases.count >= 6)
    }

    @Test("Greedy tokens of ask", arguments: cases)
    func greedy(reference: Case) throws {
        let options = ["--raw", "--temperature", "0", "--max-tokens", "\(reference.steps)", "--format", "json"]
        let arguments =
            ["ask", "--model", reference.folder.path] + reference.flags + options + ["--", try reference.prompt()]
        let object = try Program.run(Program.process(arguments)).object()
        let expected = try elements("greedy", of: reference.expected(), as: Int64.self).map(Int.init).filter { $0 != 2 }
        #expect(object["tokens"] as? [Int] == expected)
    }

    @Test("Tensors of trace", arguments: cases)
    func trace(reference: Case) throws {
        try Program.withTemporaryDirectory { directory in
            let file = directory.appendingPathComponent("trace.safetensors")
            let result = try Program.run(
                Program.process(
                    ["trace", "--model", reference.folder.path, "--output", file.path, "--prompt", reference.prompt()]
                        + reference.flags))
            #expect(succeeded(result) == "")
            let found = try tensors(file), expected = try reference.expected()
            #expect(Set(found.tensors.keys).union(["greedy"]) == Set(expected.tensors.keys))
            for (name, tensor) in found.tensors {
                #expect(tensor.shape == expected.tensors[name]?.shape, "\(name)")
                if name == "input_ids" {
                    #expect(
                        try elements(name, of: found, as: Int64.self) == elements(name, of: expected, as: Int64.self))
                } else {
                    let values = try elements(name, of: found, as: Float.self)
                    let wanted = try elements(name, of: expected, as: Float.self)
                    let allowed = 5e-5 * (wanted.map(abs).max() ?? 0)
                    #expect(zip(values, wanted).allSatisfy { abs($0 - $1) <= allowed }, "\(name)")
                }
            }
        }
    }

    @Test("Pixel values of preprocess", arguments: cases.filter { !$0.images.isEmpty })
    func preprocess(reference: Case) throws {
        try Program.withTemporaryDirectory { directory in
            func values(_ options: String...) throws -> [Float] {
                let file = directory.appendingPathComponent("pixels.safetensors")
                let image = reference.folder.appendingPathComponent(reference.images[0]).path
                let arguments = ["preprocess", "--model", reference.folder.path, image, "--output", file.path]
                #expect(succeeded(try Program.run(Program.process(arguments + options))) == "")
                let tensor = try #require(try tensors(file).tensors["pixel_values"])
                #expect(tensor.shape.count == 3 && tensor.shape[0] == 3)
                return try elements("pixel_values", of: tensors(file), as: Float.self)
            }
            let stretched = try values()
            let expected = try elements("pixel_values", of: reference.expected(), as: Float.self)
            #expect(stretched.map(\.bitPattern) == expected.prefix(stretched.count).map(\.bitPattern))
            #expect(try values("--fit", "stretch") == stretched)
            #expect(try values("--fit", "pad") != stretched)
            #expect(try values("--fit", "crop") != stretched)
        }
    }
}

private func tensors(_ file: URL) throws -> Checkpoint {
    let region = try ByteRegion(mappingFile: file.path)
    return try Checkpoint(ModelFiles(name: file.lastPathComponent, embedded: ["model.safetensors": region]))
}

private func elements<Element>(_ name: String, of checkpoint: Checkpoint, as type: Element.Type) throws -> [Element] {
    let contents = try #require(checkpoint.tensors[name]).contents()
    return withExtendedLifetime(contents) {
        let size = MemoryLayout<Element>.size
        return stride(from: 0, to: contents.count, by: size).map {
            contents.bytes.loadUnaligned(fromByteOffset: $0, as: Element.self)
        }
    }
}

import Foundation
import Owl2Core
import Owl2TestSupport
import Testing

@testable import Owl2Checkpoint

/// GGUF files that are not sound: one clear error each.
@Suite struct BadGGUFTests {
    /// Expects an error that names the file.
    func expectRefusal(
        _ code: Owl2Error.Code = .malformedFile, _ parts: String..., sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout GGUFBuilder) -> Void
    ) {
        for part in ["memory/model.gguf"] + parts {
            expectError(code, part, sourceLocation: sourceLocation) { try openGGUF(change) }
        }
    }

    @Test("Every truncation is an error") func truncation() throws {
        var builder = GGUFBuilder()
        let strings = GGUFBuilder.string("a") + GGUFBuilder.string("bc")
        builder.keys.append(("list", 9, GGUFBuilder.array(8, count: 2, strings)))
        builder.keys.append(("list of numbers", 9, GGUFBuilder.array(5, count: 3, [UInt8](repeating: 0, count: 12))))
        builder.tensors.append(.init(name: "u", dimensions: [3, 5], data: [UInt8](repeating: 1, count: 60)))
        let files = [
            ByteRegion(name: "built", copying: builder.build()),
            try ByteRegion(mappingFile: Fixtures.url("gguf/goldens.gguf").path),
        ]
        for file in files {
            #expect(throws: Never.self) { try GGUFFile(file, fileName: "x") }
            for length in 0..<file.count {
                do {
                    _ = try GGUFFile(file[0..<length], fileName: "x")
                    Issue.record("\(length) bytes of \(file.name) were read")
                } catch {
                    #expect(error is Owl2Error)
                }
            }
        }
    }

    @Test("Random changes never trap") func mutations() throws {
        var builder = GGUFBuilder()
        let strings = GGUFBuilder.string("a") + GGUFBuilder.string("bc")
        builder.keys.append(("list", 9, GGUFBuilder.array(8, count: 2, strings)))
        builder.tensors.append(.init(name: "u", dimensions: [32], type: 8, data: [UInt8](repeating: 1, count: 34)))
        let bytes = builder.build()
        var generator = SeededGenerator(seed: 9), loadedCount = 0
        for _ in 0..<20_000 {
            var spoilt = bytes
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                spoilt[Int.random(in: 0..<spoilt.count, using: &generator)] =
                    [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &generator)]
                    .randomElement(using: &generator) ?? 0
            }
            do {
                let file = try openGGUF(spoilt)
                for tensor in file.tensors { _ = try tensor.nonFiniteCount() }
                for key in file.keys { _ = try? file.optional(key, as: [String].self) }
                loadedCount += 1
            } catch {
                #expect(error is Owl2Error, "\(error)")
            }
        }
        #expect(loadedCount > 0 && loadedCount < 20_000)
    }

    @Test("What is no GGUF file, or one of another kind") func kinds() {
        expectRefusal(.malformedFile, "begin with 'GGUF'") { $0.magic = Array("GGML".utf8) }
        expectRefusal(.unsupportedFormat, "version 1") { $0.version = 1 }
        expectRefusal(.unsupportedFormat, "version 4") { $0.version = 4 }
        expectRefusal(.unsupportedFormat, "big-endian") { $0.version = UInt32(3).byteSwapped }
    }

    @Test("Counts and lengths that lie", arguments: [1 << 20, 1 << 40, UInt64.max, UInt64(Int.max), 3])
    func lies(claim: UInt64) {
        expectRefusal { $0.claimedTensorCount = claim }
        expectRefusal { $0.claimedKeyCount = claim }
        expectRefusal { $0.tensors[0].claimedNameLength = max(claim, 64) }
        guard claim > 3 else { return }
        expectRefusal(.malformedFile, "'k'") {
            $0.keys.append(("k", 8, GGUFBuilder.string("text", claimedLength: claim)))
        }
        for type in [0, 4, 6, 8, 12] as [UInt32] {
            let list = GGUFBuilder.array(type, count: claim, [1, 2])
            expectRefusal(.malformedFile, "'k'") { $0.keys.append(("k", 9, list)) }
        }
        expectRefusal(.malformedFile, "'k'") {
            let text = GGUFBuilder.string("a", claimedLength: claim)
            $0.keys.append(("k", 9, GGUFBuilder.array(8, count: 1, text)))
        }
    }

    @Test("Keys that are duplicate, empty, not UTF-8 or of an unknown type; arrays of arrays") func keys() {
        expectRefusal(.malformedFile, "general.architecture", "twice") { $0.keys.append($0.keys[0]) }
        expectRefusal(.malformedFile, "key 1") { $0.keys.append(("", 0, [0])) }
        expectRefusal(.malformedFile, "'k'", "type 13") { $0.keys.append(("k", 13, [0])) }
        let list = GGUFBuilder.array(99, count: 0, [])
        expectRefusal(.malformedFile, "'k'", "type 99") { $0.keys.append(("k", 9, list)) }
        let inner = GGUFBuilder.array(0, count: 1, [7])
        expectRefusal(.unsupportedFormat, "'k'", "array of arrays") {
            $0.keys.append(("k", 9, GGUFBuilder.array(9, count: 1, inner)))
        }
        // a hundred thousand levels
        let deep = (0..<100_000).flatMap { _ in littleEndian(UInt32(9)) + littleEndian(UInt64(1)) }
        expectRefusal(.unsupportedFormat, "'k'", "array of arrays") { $0.keys.append(("k", 9, deep)) }
    }

    @Test("Text that is not UTF-8, and a bool that is neither") func values() throws {
        let file = try openGGUF {
            $0.keys.append(("text", 8, littleEndian(UInt64(2)) + [0xC3, 0x28]))
            $0.keys.append(("bool", 7, [2]))
            $0.keys.append(("large", 10, littleEndian(UInt64.max)))
        }
        expectError(.malformedFile, "'text'", "UTF-8") { try file.required("text", as: String.self) }
        expectError(.malformedFile, "'bool'") { try file.required("bool", as: Bool.self) }
        expectError(.malformedFile, "'large'") { try file.required("large", as: Int.self) }
    }

    @Test("An alignment that is none", arguments: [0, 3, 33, 48, UInt32.max])
    func alignment(value: UInt32) {
        expectRefusal(.malformedFile, "'general.alignment'", "power of two", "\(value)") { $0.setAlignment(value) }
        expectRefusal(.malformedFile, "'general.alignment'", "string") {
            $0.keys.append(("general.alignment", 8, GGUFBuilder.string("32")))
        }
        expectRefusal { $0.setAlignment(1 << 31) }
    }

    @Test("Dimensions that cannot be") func dimensions() {
        expectRefusal(.malformedFile, "'t'", "0 dimensions") { $0.tensors[0].dimensions = [] }
        expectRefusal(.malformedFile, "'t'", "5 dimensions") { $0.tensors[0].dimensions = [1, 1, 1, 1, 4] }
        expectRefusal(.malformedFile, "'t'", "4294967295 dimensions") { $0.tensors[0].claimedRank = .max }
        expectRefusal(.malformedFile, "'t'", "dimension of zero") { $0.tensors[0].dimensions = [4, 0] }
        let large: [[UInt64]] = [
            [1 << 32, 1 << 32], [1 << 62, 8], [UInt64(Int.max), 2], [1 << 21, 1 << 21, 1 << 22],
        ]
        for product in large {
            expectRefusal(.malformedFile, "'t'") { $0.tensors[0].dimensions = product }
        }
        expectRefusal { $0.tensors[0].dimensions = [.max] }
        expectRefusal(.malformedFile, "'t'", "multiples of 32") {
            $0.tensors[0].type = 8
            $0.tensors[0].dimensions = [33]
        }
        expectRefusal(.malformedFile, "'t'", "multiples of 256") {
            $0.tensors[0].type = 12
            $0.tensors[0].dimensions = [32, 8]
        }
        // 2^63 bytes
        expectRefusal(.malformedFile, "'t'") { $0.tensors[0].dimensions = [1 << 61] }
    }

    @Test("Types that are unknown or not supported", arguments: [(3, "Q4_1"), (10, "Q2_K"), (4, "4"), (1000, "1000")])
    func types(number: UInt32, name: String) {
        expectRefusal(.unsupportedFormat, "'t'", name) { $0.tensors[0].type = number }
    }

    @Test("Offsets that are unaligned, overlapping or past the end") func offsets() {
        for offset in [1, 16, 31, 33] as [UInt64] {
            expectRefusal(.malformedFile, "'t'", "multiple of 32") { $0.tensors[0].offset = offset }
        }
        for offset in [32, 1 << 40, UInt64(Int.max) & ~31] as [UInt64] {
            expectRefusal(.malformedFile, "'t'", "past the end") { $0.tensors[0].offset = offset }
        }
        expectRefusal { $0.tensors[0].offset = UInt64.max & ~31 }
        expectRefusal(.malformedFile, "inside of the one before") { $0.tensors.append(.init(name: "u", offset: 0)) }
        expectRefusal(.malformedFile, "inside of the one before") {
            $0.tensors[0] = .init(dimensions: [32], data: [UInt8](repeating: 0, count: 128))
            $0.tensors.append(.init(name: "u", offset: 64))
        }
    }

    @Test("Names that are duplicate, empty or too long") func names() {
        expectRefusal(.malformedFile, "'t'", "twice") { $0.tensors.append(.init()) }
        expectRefusal(.malformedFile, "tensor 0") { $0.tensors[0].name = "" }
        expectRefusal(.malformedFile, "64 bytes") { $0.tensors[0].name = String(repeating: "n", count: 64) }
        #expect(throws: Never.self) { try openGGUF { $0.tensors[0].name = String(repeating: "n", count: 63) } }
    }

    @Test("A file of another architecture, a part of a model, and what is no GGUF file at all") func models() throws {
        func open(_ change: (inout GGUFBuilder) -> Void) throws -> ModelFiles {
            var builder = GGUFBuilder()
            change(&builder)
            return try ModelFiles(gguf: ByteRegion(name: "a.gguf", copying: builder.build()), fileName: "a.gguf")
        }
        expectError(.unsupportedFormat, "a.gguf", "'llama'", "'mplug_owl2'") {
            try open { $0.keys = [("general.architecture", 8, GGUFBuilder.string("llama"))] }
        }
        expectError(.malformedFile, "a.gguf", "'general.architecture'", "missing") { try open { $0.keys = [] } }
        expectError(.unsupportedFormat, "a.gguf", "split.count") {
            try open { $0.keys.append(("split.count", 2, littleEndian(UInt16(3)))) }
        }
        let directory = try TemporaryDirectory(), file = directory.url.appendingPathComponent("x.gguf")
        for content in ["", "GGU", "something else"] {
            try Data(content.utf8).write(to: file)
            expectError(.unreadableFile, file.path, "GGUF") { try ModelFiles(at: file) }
        }
        let absent = directory.url.appendingPathComponent("absent.gguf")
        expectError(.unreadableFile, absent.path) { try ModelFiles(at: absent) }
        let files = try open { _ in }
        expectError(.unreadableFile, "config.json", "a.gguf") { try files.file("config.json") }
        #expect(files.names == ["a.gguf"])
    }

    @Test("A tensor under its name here and under the checkpoint's key") func twoNames() {
        expectError(.malformedFile, "lm_head.weight") {
            var builder = GGUFBuilder()
            builder.tensors = [.init(name: "output.weight"), .init(name: "lm_head.weight")]
            let region = ByteRegion(name: "a.gguf", copying: builder.build())
            return try Checkpoint(ModelFiles(gguf: region, fileName: "a.gguf"))
        }
    }
}

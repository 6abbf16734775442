import Foundation
import Owl2Core
import Owl2Tensor
import Owl2TestSupport
import Testing

@testable import Owl2Checkpoint

/// GGUF files that are sound.
@Suite struct GGUFReaderTests {
    static func goldens() throws -> GGUFFile {
        try GGUFFile(ByteRegion(mappingFile: Fixtures.url("gguf/goldens.gguf").path), fileName: "goldens.gguf")
    }

    @Test("Metadata of every type, as the gguf package wrote it") func metadata() throws {
        let file = try Self.goldens()
        #expect(file.version == 3)
        let integers = [
            ("uint8", 200), ("int8", -100), ("uint16", 60000), ("int16", -30000), ("uint32", 4_000_000_000),
            ("int32", -2_000_000_000), ("uint64", Int.max), ("int64", -(1 << 62)),
        ]
        for (type, value) in integers { #expect(try file.required("test.\(type)", as: Int.self) == value) }
        #expect(try file.required("test.float32", as: Double.self) == Double(Float(0.1)))
        #expect(try file.required("test.float64", as: Double.self) == 0.1)
        #expect(try file.required("test.bool", as: Bool.self))
        #expect(try file.required("test.string", as: String.self) == "an owl 🦉")
        #expect(try file.required("test.strings", as: [String].self) == ["", "▁a", "é"])
        #expect(try file.required("test.integers", as: [Int].self) == [1, -2, 3])
        #expect(try file.required("test.floats", as: [Float].self) == [0.5, -1.25])
        #expect(try file.optional("test.absent", as: Int.self) == nil)
        try file.checkArchitecture("mplug_owl2")
    }

    @Test("A value of another type than is asked for is an error that names the key") func wrongTypes() throws {
        let file = try Self.goldens()
        func expectRefusal<Value: GGUFReadable>(_ key: String, _ type: Value.Type, _ found: String) {
            expectError(.malformedFile, "goldens.gguf", "'\(key)'", found, Value.expectation) {
                try file.required(key, as: type)
            }
        }
        expectRefusal("test.string", Int.self, "string")
        expectRefusal("test.float32", Int.self, "float32")
        expectRefusal("test.int8", Double.self, "int8")
        expectRefusal("test.uint8", Bool.self, "uint8")
        expectRefusal("test.bool", String.self, "bool")
        expectRefusal("test.integers", Int.self, "array of int32")
        expectRefusal("test.integers", [String].self, "array of int32")
        expectRefusal("test.integers", [Float].self, "array of int32")
        expectRefusal("test.bools", [Int].self, "array of bool")
        expectRefusal("test.strings", [Int].self, "array of string")
        expectRefusal("test.int32", [Int].self, "int32")
        expectError(.malformedFile, "goldens.gguf", "'test.absent'", "missing", "an integer") {
            try file.required("test.absent", as: Int.self)
        }
    }

    @Test("Tensors have PyTorch's order of dimensions, and their bytes in place") func tensors() throws {
        let file = try openGGUF {
            $0.tensors = [
                .init(name: "a", dimensions: [2, 3], data: floatBytes([1, 2, 3, 4, 5, 6])),
                .init(name: "b", dimensions: [32, 1, 2, 1], type: 8, data: [UInt8](0..<68)),
            ]
        }
        #expect(file.tensors.map(\.name) == ["a", "b"])
        #expect(file.tensors.map(\.shape) == [[3, 2], [1, 2, 1, 32]])
        #expect(file.tensors.map(\.storedTypeName) == ["F32", "Q8_0"])
        #expect(file.tensors[0].contents().array == floatBytes([1, 2, 3, 4, 5, 6]))
        #expect(file.tensors[1].contents().array == [UInt8](0..<68))
        #expect(file.tensors[1].elementCount == 64 && file.tensors[1].byteCount == 68)
    }

    @Test("Version 2, another alignment and gaps are sound", arguments: [8, 32, 64, 4096] as [UInt32])
    func lenience(alignment: UInt32) throws {
        let file = try openGGUF {
            $0.version = 2
            $0.alignment = Int(alignment)
            $0.setAlignment(alignment)
            $0.tensors = [.init(), .init(name: "u", offset: UInt64(2 * alignment))]
            $0.tensors.append(.init(name: "gap"))
            $0.tensors[1].data = [UInt8](repeating: 0, count: 2 * Int(alignment))
        }
        #expect(file.version == 2 && file.tensors.count == 3)
    }

    @Test("Blocks dequantise to the gguf package's numbers, bit for bit", arguments: ["q8_0", "q4_0", "q4_k", "q6_k"])
    func dequantization(type: String) throws {
        let tensors = Dictionary(uniqueKeysWithValues: try Self.goldens().tensors.map { ($0.name, $0) })
        let blocks = try #require(tensors["\(type).blocks"]), floats = try #require(tensors["\(type).floats"])
        let elementType = try #require(blocks.elementType)
        #expect(elementType.rawValue == type)
        let found = elementType.float32(blocks.contents()).map(\.bitPattern)
        #expect(found == expectedBits(floats))
    }

    @Test(
        "Rows quantise to the gguf package's bytes, bit for bit",
        arguments: [ElementType.float16, .bfloat16, .q8_0, .q4_0])
    func quantization(type: ElementType) throws {
        let tensors = Dictionary(uniqueKeysWithValues: try Self.goldens().tensors.map { ($0.name, $0) })
        let rows = try #require(tensors["float32"]), expected = try #require(tensors[type.rawValue])
        let conversion = RowConversion(columnCount: try #require(rows.shape.last), from: .float32, to: type)
        var found = [UInt8](repeating: 0, count: expected.byteCount)
        let fault = try found.withUnsafeMutableBytes {
            try Compute(threadCount: 1).convert(rows.contents(), conversion, into: $0)
        }
        #expect(fault == nil && expected.elementType == type && expected.shape == rows.shape)
        #expect(found == expected.contents().array)
    }

    private func expectedBits(_ tensor: StoredTensor) -> [UInt32] {
        let bytes = tensor.contents().array
        return stride(from: 0, to: bytes.count, by: 4).map { at in
            bytes[at..<at + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
    }

    @Test(
        "A block whose scale or minimum is not finite has no finite element",
        arguments: [
            (8, 34, 32, [0]), (2, 18, 32, [0]), (12, 144, 256, [0, 2]), (14, 210, 256, [208]),
        ] as [(UInt32, Int, UInt64, [Int])])
    func nonFiniteScales(type: UInt32, byteCount: Int, elementCount: UInt64, offsets: [Int]) throws {
        for offset in offsets {
            for bits in [0x7C00, 0x7E00, 0xFC00] as [UInt16] {
                var data = [UInt8](repeating: 0xFF, count: 3 * byteCount)
                for block in 0..<3 {
                    for place in offsets.map({ block * byteCount + $0 }) {
                        data.replaceSubrange(place..<place + 2, with: [0, 0x3C])
                    }
                }
                let place = byteCount + offset
                data.replaceSubrange(place..<place + 2, with: littleEndian(bits))
                let file = try openGGUF {
                    $0.tensors = [.init(dimensions: [3 * elementCount], type: type, data: data)]
                }
                #expect(try file.tensors[0].nonFiniteCount() == Int(elementCount))
            }
        }
    }
}

import Owl2Checkpoint
import Owl2Core
import Owl2Tensor
import Owl2TestSupport
import Testing

/// Weights by scoped names.
struct WeightLoaderTests {
    /// Tensors of a layer: `shape` and type by name, the elements are 0, 1, 2 and so on where the type is F32.
    static func loader(_ tensors: [(name: String, type: String, shape: [Int])]) throws -> WeightLoader {
        var fields: [String] = []
        var data: [UInt8] = []
        for (name, type, shape) in tensors {
            let count = shape.reduce(1, *)
            let start = data.count
            switch type {
            case "F32": data += floatBytes((0..<count).map { Float($0) })
            case "I64": data += [UInt8](repeating: 0, count: 8 * count)
            default: data += (0..<count).flatMap { littleEndian(UInt16(0x3C00 + $0)) }
            }
            fields.append(
                "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[\(start),\(data.count)]}")
        }
        return WeightLoader(try openSafetensors(safetensors("{\(fields.joined(separator: ","))}", data: data)))
    }

    @Test func tensorsComeByScopedNames() throws {
        let loader = try Self.loader([
            ("model.layers.0.q.weight", "F16", [2, 3]), ("model.layers.0.q.bias", "F32", [2]),
            ("patch.weight", "F32", [2, 3, 2, 2]), ("embeds", "F32", [1, 2, 2]),
        ])
        let query = loader.scope["model"]["layers"][0]["q"]
        #expect(query.path == "model.layers.0.q")
        #expect(query.contains("bias") && !query.contains("other"))
        #expect(query.shape(of: "weight") == [2, 3])
        let matrix = query.matrix("weight", rows: 2, columns: 3)
        #expect(matrix.rowCount == 2 && matrix.columnCount == 3 && matrix.elementType == .float16)
        #expect(matrix.storage.array == Array((0..<6).flatMap { littleEndian(UInt16(0x3C00 + $0)) }))
        #expect(query.vector("bias", count: 2) == [0, 1])
        let patches = loader.scope["patch"].matrix("weight", shape: [2, 3, 2, 2])
        #expect(patches.rowCount == 2 && patches.columnCount == 12 && patches.elementType == .float32)
        #expect(loader.scope.array("embeds", shape: [1, 2, 2]) == [0, 1, 2, 3])
        #expect(try loader.finish() == [])
    }

    @Test func unusedKeysAreWarnings() throws {
        let loader = try Self.loader([
            ("a", "F32", [1]), ("layers.0.rotary_emb.inv_freq", "F32", [1]), ("c", "I64", [1]), ("b", "F32", [1]),
        ])
        #expect(loader.scope.vector("a", count: 1) == [0])
        #expect(loader.unexpectedKeys() == ["b", "c"])
        let warnings = try loader.finish()
        #expect(warnings.count == 2)
        #expect(warnings.first?.hasPrefix("b:") == true)
        #expect(try loader.finish(ignoring: { _ in true }) == [])
    }

    @Test func allProblemsAreReportedAtOnce() throws {
        let loader = try Self.loader([("a.weight", "F32", [2, 3]), ("a.bias", "I64", [2]), ("b", "F32", [4])])
        let scope = loader.scope["a"]
        let matrix = scope.matrix("weight", rows: 3, columns: 2)
        #expect(matrix.rowCount == 0 && matrix.columnCount == 0 && matrix.storage.count == 0)
        #expect(scope.vector("bias", count: 2).isEmpty)
        #expect(scope.array("absent", shape: [1, 2]).isEmpty)
        #expect(scope.matrix("gone", shape: [.max, .max]).rowCount == 0)
        #expect(loader.scope.vector("b", count: -4).isEmpty)
        #expect(loader.problems.count == 5)
        expectError(
            .missingWeights, "memory: 5 tensors are missing or unusable",
            "a.weight has shape [2, 3] in model.safetensors, expected [3, 2]",
            "a.bias has type I64 in model.safetensors, expected one of F32, F16, BF16, Q8_0",
            "a.absent is missing, expected [1, 2]",
            "b has shape [4] in model.safetensors, expected [-4]"
        ) { try loader.finish() }
    }

    @Test func longListsOfProblemsAreCounted() throws {
        let loader = try Self.loader([])
        for index in 0..<14 { _ = loader.scope["layers"][index].vector("weight", count: 1) }
        expectError(
            .missingWeights, "14 tensors are", "layers.11.weight is missing", "; and 2 more"
        ) { try loader.finish() }
    }

    @Test func optionalTensorsMayBeMissingButNotMisshaped() throws {
        let loader = try Self.loader([("a", "F32", [2])])
        #expect(loader.scope.optionalArray("b", shape: [3]) == nil)
        #expect(loader.scope.optionalArray("a", shape: [2]) == [0, 1])
        #expect(loader.problems.isEmpty)
        #expect(loader.scope.optionalArray("a", shape: [3]) == [])
        #expect(loader.problems == ["a has shape [2] in model.safetensors, expected [3]"])
    }
}

/// Widening of stored elements, for every pattern of 16 bits.
struct ElementConversionTests {
    static let patterns = (0...UInt16.max).map { $0 }

    func widened(_ type: String, _ bits: [UInt16]) throws -> [Float] {
        let header = "{\"a\":{\"dtype\":\"\(type)\",\"shape\":[\(bits.count)],\"data_offsets\":[0,\(bits.count * 2)]}}"
        let file = safetensors(header, data: bits.flatMap { littleEndian($0) })
        let loader = WeightLoader(try openSafetensors(file))
        let values = loader.scope.vector("a", count: bits.count)
        #expect(try loader.finish() == [])
        return values
    }

    /// The value by the definition of a binary floating-point number.
    func reference(_ bits: UInt16, exponentBits: Int) -> Float {
        let fractionBits = 15 - exponentBits
        let exponent = Int(bits & 0x7FFF) >> fractionBits
        let fraction = Float(Int(bits) & ((1 << fractionBits) - 1)) / Float(1 << fractionBits)
        let bias = (1 << (exponentBits - 1)) - 1
        let magnitude: Float =
            if exponent == (1 << exponentBits) - 1 {
                fraction == 0 ? .infinity : .nan
            } else if exponent == 0 {
                Float(sign: .plus, exponent: 1 - bias, significand: fraction)
            } else {
                Float(sign: .plus, exponent: exponent - bias, significand: 1 + fraction)
            }
        return bits & 0x8000 == 0 ? magnitude : -magnitude
    }

    @Test(arguments: [("F16", 5), ("BF16", 8)])
    func everyPatternKeepsItsValue(type: String, exponentBits: Int) throws {
        let values = try widened(type, Self.patterns)
        try #require(values.count == Self.patterns.count)
        for (bits, value) in zip(Self.patterns, values) {
            let expected = reference(bits, exponentBits: exponentBits)
            let isSame = expected.isNaN ? value.isNaN : value.bitPattern == expected.bitPattern
            if !isSame { Issue.record("\(type) \(bits): \(value), expected \(expected)") }
        }
    }
}

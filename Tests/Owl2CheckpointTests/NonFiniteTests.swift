import Owl2Checkpoint
import Owl2Core
import Testing

/// The count of NaN and infinities in weights.
struct NonFiniteTests {
    func count(_ type: String, elementCount: Int, width: Int, _ data: [UInt8]) throws -> Int {
        let header =
            "{\"a\":{\"dtype\":\"\(type)\",\"shape\":[\(elementCount)],\"data_offsets\":[0,\(elementCount * width)]}}"
        let tensor = try #require(try openSafetensors(safetensors(header, data: data)).tensors["a"])
        return try tensor.nonFiniteCount()
    }

    @Test(arguments: [("F16", 0x7C00), ("BF16", 0x7F80)] as [(String, UInt16)])
    func everyPatternIsTold(type: String, exponent: UInt16) throws {
        let patterns = (0...UInt16.max).map { $0 }
        let expected = patterns.count { $0 & exponent == exponent }
        #expect(try count(type, elementCount: 65536, width: 2, patterns.flatMap { littleEndian($0) }) == expected)
        for value in stride(from: 0, to: UInt16.max, by: 97) {
            let isHit = value & exponent == exponent
            #expect(try count(type, elementCount: 1, width: 2, littleEndian(value)) == (isHit ? 1 : 0))
        }
    }

    @Test(arguments: [0, 1, 2, 3, 1023, 1024, 1025, 4001])
    func countsAreRightAtEveryLengthAndPlace(length: Int) throws {
        var values = (0..<length).map { Float($0) - 7 }
        values += [.greatestFiniteMagnitude, -.greatestFiniteMagnitude, .leastNonzeroMagnitude]
        #expect(try count("F32", elementCount: values.count, width: 4, floatBytes(values)) == 0)
        for (index, odd) in zip([0, values.count / 2, values.count - 1], [Float.nan, .infinity, -.infinity]) {
            values[index] = odd
        }
        #expect(try count("F32", elementCount: values.count, width: 4, floatBytes(values)) == 3)
    }

    @Test func otherTypesHaveNoneButDoublesDo() throws {
        #expect(try count("I64", elementCount: 2, width: 8, [UInt8](repeating: 0xFF, count: 16)) == 0)
        #expect(try count("U8", elementCount: 16, width: 1, [UInt8](repeating: 0xFF, count: 16)) == 0)
        let doubles = [Double.nan, 1, -.infinity, .greatestFiniteMagnitude].flatMap { littleEndian($0.bitPattern) }
        #expect(try count("F64", elementCount: 4, width: 8, doubles) == 2)
    }

    @Test func viewsAreCountedByTheirElements() throws {
        let program = PickleBuilder.dictionary {
            $0.text("w")
            $0.tensor(count: 6, shape: [3], strides: [2])
        }
        let storage = floatBytes([.nan, .nan, 0, .nan, .infinity, .nan])
        let checkpoint = try openPyTorch(pyTorchFile(program, storages: ["0": storage]))
        #expect(try #require(checkpoint.tensors["w"]).nonFiniteCount() == 2)
    }

    @Test func countingCanBeCancelled() async throws {
        let checkpoint = try openSafetensors(
            safetensors(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: [0, 0, 0, 0]))
        let tensor = try #require(checkpoint.tensors["a"])
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try tensor.nonFiniteCount()
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}

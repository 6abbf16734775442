import Owl2Checkpoint
import Owl2Core
import Owl2TestSupport
import Testing

/// Headers of safetensors, sound and not.
struct SafetensorsTests {
    static let data = floatBytes([1, -2, 3, 4.5])

    @Test(arguments: 0..<8)
    func headersOfAnyLengthLoad(padding: Int) throws {
        let header =
            #"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"# + String(repeating: " ", count: padding)
        let tensor = try #require(try openSafetensors(safetensors(header, data: Self.data)).tensors["a"])
        #expect(tensor.contents().array == Array(Self.data))
        #expect(tensor.shape == [2, 2])
    }

    @Test func fieldsAndSpaceComeInAnyOrder() throws {
        let header =
            "{ \"__metadata__\" : { } ,\n\t\"\\u0061\\n\\ud83e\\udd89\\/\" : {\"data_offsets\": [ 0 , 16 ],\r\n"
            + "\"shape\": [ ] , \"dtype\" : \"C64\" } }"
        expectError(.malformedFile, "16 bytes", "shape []") {
            try openSafetensors(safetensors(header.replacing("\\n", with: ""), data: Self.data))
        }
        let sound = header.replacing("[ ]", with: "[ 1 ,1, 2 ]")
        #expect(try openSafetensors(safetensors(sound, data: Self.data)).tensors["a\n🦉/"]?.shape == [1, 1, 2])
    }

    @Test func aFileWithoutTensorsIsSound() throws {
        #expect(try openSafetensors(safetensors("{}")).tensors.isEmpty)
    }

    @Test(arguments: [
        [], [1, 2, 3], safetensors("", claimedLength: 1), safetensors("{}", claimedLength: 3),
        safetensors("{}", claimedLength: 100_000_001), safetensors("{}", claimedLength: .max),
        safetensors("{}", claimedLength: 1 << 63), safetensors("{}", claimedLength: 99_999_999),
    ])
    func lyingLengthsAreErrors(file: [UInt8]) {
        expectError(.malformedFile, "memory/model.safetensors", "safetensors header") { try openSafetensors(file) }
    }

    @Test(arguments: [
        "", " {}", "[]", "{", "{}x", "{}{}", "{\"a\"}", "{\"a\":}", "{\"a\":1}", "{\"a\":{}}", "{a:{}}", "{,}", "null",
        "{\"__metadata__\":[]}", "{\"__metadata__\":{\"a\":1}}", "{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4]}}", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}",
        "{\"\\ud800\":{}}", "{\"\\ud800\\n\":{}}", "{\"\\ud800\\u0041\":{}}", "{\"\\x\":{}}", "{\"\\u12", "{\"a",
        "{\"\\u00g0\":{}}", "{\"\u{1}\":{}}", String(repeating: "[", count: 100_000),
        "{\"a\":" + String(repeating: "{\"b\":", count: 100_000),
    ])
    func malformedHeadersAreErrors(header: String) {
        expectError(.malformedFile, "memory/model.safetensors") { try openSafetensors(safetensors(header)) }
    }

    @Test func textMustBeUTF8() {
        let header = #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#
        var file = safetensors(header, data: Self.data)
        file[10] = 0xFF
        expectError(.malformedFile, "not valid UTF-8") { try openSafetensors(file) }
    }

    @Test(arguments: [
        (#""dtype":"F32","shape":[3],"data_offsets":[0,16]"#, "needs another number"),
        (#""dtype":"F16","shape":[4],"data_offsets":[0,16]"#, "needs another number"),
        (#""dtype":"F32","shape":[4],"data_offsets":[0,12]"#, "its tensors cover 12"),
        (#""dtype":"F32","shape":[4],"data_offsets":[0,20]"#, "at 0 ..< 20 of 16"),
        (#""dtype":"F32","shape":[3],"data_offsets":[4,16]"#, "expected it to begin at 0"),
        (#""dtype":"F32","shape":[4],"data_offsets":[16,0]"#, "at 16 ..< 0"),
        (#""dtype":"F32","shape":[3],"data_offsets":[0,12]"#, "16 bytes of data, its tensors cover 12"),
        (#""dtype":"F32","shape":[4],"data_offsets":[0,9223372036854775807]"#, "of 16"),
        (#""dtype":"F32","shape":[4],"data_offsets":[0,9223372036854775808]"#, "larger than any file"),
        (#""dtype":"F32","shape":[4],"data_offsets":[0]"#, "data_offsets"),
        (#""dtype":"F32","shape":[4],"data_offsets":[0,16,16]"#, "at most 2"),
        (#""dtype":"F32","shape":[-4],"data_offsets":[0,16]"#, "a number that is a size"),
        (#""dtype":"F32","shape":[4.0],"data_offsets":[0,16]"#, "expected ']'"),
        (#""dtype":"F32","shape":["4"],"data_offsets":[0,16]"#, "a number that is a size"),
        (#""dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]"#, "needs another number"),
        (#""dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,16]"#, "needs another number"),
        (#""dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,16]"#, "needs another number"),
        (#""dtype":"F32","shape":[4],"data_offsets":[0,16],"more":1"#, "unknown field 'more'"),
        (#""dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]"#, "'dtype' is there twice"),
        (#""dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32""#, "'b' lacks one of"),
        (
            #""dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[3],"data_offsets":[4,16]"#,
            "overlap"
        ),
        (
            #""dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]"#,
            "gap"
        ),
    ])
    func contradictoryEntriesAreErrors(fields: String, reason: String) {
        expectError(.malformedFile, reason) {
            try openSafetensors(safetensors("{\"a\":{\(fields)}}", data: Self.data))
        }
    }

    @Test func keysThatAreThereTwiceAreErrors() {
        let entry = #"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#
        expectError(.malformedFile, "the key 'a' is there twice") {
            try openSafetensors(safetensors(#"{"a":\#(entry),"\u0061":\#(entry)}"#))
        }
    }

    @Test func unknownTypesAreRefusedByName() {
        expectError(.unsupportedFormat, "tensor 'a' has the unknown type 'F4'") {
            try openSafetensors(
                safetensors(#"{"a":{"dtype":"F4","shape":[32],"data_offsets":[0,16]}}"#, data: Self.data))
        }
    }

    @Test func tooManyDimensionsAreAnError() {
        let shape = Array(repeating: "1", count: 65).joined(separator: ",")
        expectError(.malformedFile, "at most 64 numbers") {
            try openSafetensors(
                safetensors("{\"a\":{\"dtype\":\"U8\",\"shape\":[\(shape)],\"data_offsets\":[0,1]}}", data: [0]))
        }
    }
}

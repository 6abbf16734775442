import Owl2Checkpoint
import Owl2Core
import Owl2TestSupport
import Testing

/// Indexes of sharded checkpoints, sound and not.
struct IndexTests {
    static func shard(_ names: [String]) -> [UInt8] {
        let fields = names.enumerated().map { index, name in
            "\"\(name)\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[\(index * 4),\(index * 4 + 4)]}"
        }
        return safetensors("{\(fields.joined(separator: ","))}", data: floatBytes(names.indices.map { Float($0) }))
    }

    func open(_ index: String, _ shards: [String: [UInt8]]) throws -> Checkpoint {
        var files = shards
        files["model.safetensors.index.json"] = Array(index.utf8)
        return try openCheckpoint(files)
    }

    @Test func absentShardsAreNamedAtOnce() {
        expectError(.unreadableFile, "index.json names files that are absent (2): three, two") {
            try open(
                #"{"weight_map": {"a": "one", "b": "two", "c": "two", "d": "three"}}"#, ["one": Self.shard(["a"])])
        }
    }

    @Test func keysThatAShardLacksAreAnError() {
        expectError(.malformedFile, "names tensors that their files lack (2): b (one), c (two)") {
            try open(
                #"{"weight_map": {"a": "one", "b": "one", "c": "two"}}"#,
                ["one": Self.shard(["a"]), "two": Self.shard(["b"])])
        }
    }

    @Test func keysThatTheIndexLacksAreAWarning() throws {
        let checkpoint = try open(#"{"weight_map": {"a": "one"}}"#, ["one": Self.shard(["a", "b"])])
        #expect(Set(checkpoint.tensors.keys) == ["a", "b"])
        #expect(checkpoint.diagnostics.count == 1)
        #expect(checkpoint.diagnostics.first?.contains("does not name tensors that its files have: b (one)") == true)
    }

    @Test func theIndexDecidesWhereAKeyIsTwice() throws {
        let shards = ["one": Self.shard(["a", "b"]), "two": Self.shard(["c", "a"])]
        for file in ["one", "two"] {
            let checkpoint = try open(#"{"weight_map": {"a": "\#(file)", "b": "one", "c": "two"}}"#, shards)
            #expect(checkpoint.tensors["a"]?.fileName == file)
        }
    }

    @Test(arguments: ["../one", "a/one", "..", ".", "", "a\\\\one", "a\\u0000"])
    func filesOutsideOfTheDirectoryAreRefused(name: String) {
        expectError(.unreadableFile, "expected the plain name of a file in that directory") {
            try open(#"{"weight_map": {"a": "\#(name)"}}"#, ["one": Self.shard(["a"])])
        }
    }

    @Test(arguments: [
        ("", "malformedFile", "not valid JSON"), ("{", "malformedFile", "not valid JSON"),
        ("[]", "invalidConfiguration", "the top level"), ("{}", "invalidConfiguration", "'weight_map' is missing"),
        (#"{"weight_map": null}"#, "invalidConfiguration", "'weight_map'"),
        (#"{"weight_map": {"a": 1}}"#, "invalidConfiguration", "'weight_map.a'"),
        (#"{"weight_map": {}}"#, "malformedFile", "names no tensor"),
        (String(repeating: "[", count: 100_000), "malformedFile", "not valid JSON"),
    ])
    func malformedIndexesAreErrors(index: String, code: String, reason: String) {
        expectError(Owl2Error.Code(rawValue: code), "model.safetensors.index.json", reason) { try open(index, [:]) }
    }
}

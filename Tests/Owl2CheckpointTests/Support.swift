import Foundation
import Owl2Checkpoint
import Owl2Core
import Testing

/// The checkpoints that `make_fixtures.py` wrote, and what PyTorch saw in them.
enum Fixtures {
    struct ExpectedTensor: Decodable {
        let type: String
        let shape: [Int]
        let hex: String
    }

    struct ExpectedCheckpoint: Decodable {
        let layout: String
        let tensors: [String: ExpectedTensor]
    }

    static func url(_ path: String) throws -> URL {
        try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/\(path)")
    }

    static func bytes(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: url(path)))
    }

    static func expected(_ directory: String) throws -> ExpectedCheckpoint {
        let all = try JSONDecoder().decode(
            [String: ExpectedCheckpoint].self, from: Data(contentsOf: url("expected.json")))
        return try #require(all[directory])
    }
}

/// Opens a checkpoint of files that are in memory.
func openCheckpoint(_ files: [String: [UInt8]]) throws -> Checkpoint {
    try Checkpoint(modelFiles(files))
}

func modelFiles(_ files: [String: [UInt8]]) -> ModelFiles {
    var regions: [String: ByteRegion] = [:]
    for (name, bytes) in files { regions[name] = ByteRegion(name: "memory/\(name)", copying: bytes) }
    return ModelFiles(name: "memory", embedded: regions)
}

func openSafetensors(_ bytes: [UInt8]) throws -> Checkpoint {
    try openCheckpoint(["model.safetensors": bytes])
}

func openPyTorch(_ bytes: [UInt8]) throws -> Checkpoint {
    try openCheckpoint(["pytorch_model.bin": bytes])
}

extension ByteRegion {
    /// A copy of the bytes, for which a region without a name lives long enough.
    var array: [UInt8] { withExtendedLifetime(self) { Array(bytes) } }
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

func floatBytes(_ values: [Float]) -> [UInt8] {
    values.flatMap { littleEndian($0.bitPattern) }
}

/// A directory of its own, removed at the end.
final class TemporaryDirectory {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("owl2-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        do { try FileManager.default.removeItem(at: url) } catch { Issue.record(error) }
    }
}

/// Numbers that are the same in every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

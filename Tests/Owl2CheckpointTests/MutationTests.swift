import Owl2Checkpoint
import Owl2Core
import Testing

/// Spoilt files of every format: each must load or throw an `Owl2Error`, and nothing else.
struct MutationTests {
    static let files = [
        ("bin-published/pytorch_model-1-of-3.bin", "pytorch_model.bin"),
        ("bin-protocol4/pytorch_model.bin", "pytorch_model.bin"),
        ("safetensors-single/model.safetensors", "model.safetensors"),
        ("safetensors-sharded/model.safetensors.index.json", "model.safetensors.index.json"),
    ]

    /// Opens a checkpoint of one file, the file of an index with its shards, and reads all of it.
    func load(_ bytes: [UInt8], as name: String) throws {
        let checkpoint = try openCheckpoint([name: bytes])
        for tensor in checkpoint.tensors.values {
            #expect(tensor.contents().count == tensor.byteCount)
            _ = try tensor.nonFiniteCount()
        }
    }

    /// Loads spoilt bytes, which may fail.
    ///
    /// - Returns: Whether they loaded.
    func survives(_ bytes: [UInt8], as name: String) -> Bool {
        do {
            try load(bytes, as: name)
            return true
        } catch {
            #expect(error is Owl2Error, "\(error)")
            return false
        }
    }

    @Test(arguments: files)
    func everyTruncationIsAnError(path: String, name: String) throws {
        let bytes = try Fixtures.bytes(path)
        for length in 0..<bytes.count {
            #expect(!survives(Array(bytes.prefix(length)), as: name), "\(path), \(length) bytes")
        }
    }

    @Test(arguments: files)
    func randomChangesNeverTrap(path: String, name: String) throws {
        let bytes = try Fixtures.bytes(path)
        var generator = SeededGenerator(seed: 20)
        var loadedCount = 0
        let attemptCount = 3000
        for _ in 0..<attemptCount {
            var spoilt = bytes
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<spoilt.count, using: &generator)
                spoilt[place] =
                    Bool.random(using: &generator)
                    ? [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &generator) ?? 0
                    : UInt8.random(in: 0...255, using: &generator)
            }
            if survives(spoilt, as: name) { loadedCount += 1 }
        }
        #expect(loadedCount < attemptCount)
    }
}

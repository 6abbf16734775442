import Testing

@testable import Owl2Core

@Suite struct SHA256Tests {
    private func digest(_ pieces: [[UInt8]]) -> String {
        var hash = SHA256()
        for piece in pieces { piece.withUnsafeBytes { hash.update($0) } }
        return hash.finalize().words.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    /// The examples of FIPS 180-4, and what Python's hashlib gives for lengths around the block's.
    @Test("Known digests") func known() {
        #expect(digest([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(digest([Array("abc".utf8)]) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            digest([Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)])
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        let million = Array(repeating: UInt8(ascii: "a"), count: 1_000_000)
        #expect(digest([million]) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test("Lengths around a block's", arguments: lengthDigests)
    func lengths(length: Int, expected: String) {
        #expect(digest([(0..<length).map { UInt8($0 % 256) }]).hasPrefix(expected))
    }

    @Test("Pieces of any size give the digest of the whole", arguments: [1, 3, 63, 64, 65, 200])
    func pieces(size: Int) {
        let whole = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let pieces = stride(from: 0, to: whole.count, by: size).map { Array(whole[$0..<min($0 + size, whole.count)]) }
        #expect(digest(pieces) == digest([whole]))
    }

    private static let lengthDigests: [(Int, String)] = [
        (1, "6e340b9cffb37a98"),
        (55, "463eb28e72f82e0a"),
        (56, "da2ae4d6b36748f2"),
        (57, "2fe741af801cc238"),
        (63, "29af2686fd53374a"),
        (64, "fdeab9acf3710362"),
        (65, "4bfd2c8b6f1eec7a"),
        (119, "da18797ed7c3a777"),
        (120, "f52b23db1fbb6ded"),
        (127, "92ca0fa6651ee2f9"),
        (128, "471fb943aa23c511"),
        (129, "5099c6a56203f968"),
    ]
}

import Foundation
import Owl2Core
import Testing

@testable import Owl2Kit

@Suite struct ImageCacheTests {
    private func load(_ bytes: Int = 64 << 20) async throws -> Owl2Pipeline {
        try await Owl2Pipeline.bundled(options: LoadOptions(threadCount: 2, imageCacheByteCount: bytes))
    }

    private func key(_ number: UInt8) -> ImageCache.Key {
        var hash = SHA256()
        [number].withUnsafeBytes { hash.update($0) }
        return ImageCache.Key(digest: hash.finalize(), fit: .stretch, honorsOrientation: false)
    }

    private func rows(_ value: Float) -> Matrix {
        Matrix(rowCount: 2, columnCount: 8, values: Array(repeating: value, count: 16))  // 64 bytes
    }

    @Test("The bound is kept, and the picture used longest ago goes first") func bound() {
        let cache = ImageCache(capacity: 200)
        for number in 1...3 { cache.insert(rows(Float(number)), for: key(UInt8(number))) }
        #expect(cache.count == 3 && cache.byteCount == 192)
        #expect(cache.rows(key(1)) != nil)
        cache.insert(rows(4), for: key(4))
        #expect(cache.count == 3 && cache.byteCount == 192)
        #expect(cache.rows(key(2)) == nil && cache.rows(key(1))?.values[0] == 1 && cache.rows(key(4))?.values[0] == 4)
        cache.insert(rows(5), for: key(4))
        #expect(cache.byteCount == 192 && cache.rows(key(4))?.values[0] == 5)
        let large = Matrix(rowCount: 1, columnCount: 51, values: Array(repeating: 0, count: 51))
        cache.insert(large, for: key(9))
        #expect(cache.rows(key(9)) == nil && cache.count == 3)
        #expect(!ImageCache(capacity: 0).isOn)
    }

    @Test("A picture met before is not encoded again, and its embedding is the same") func again() async throws {
        let owl = try await load(), without = try await load(0)
        let pictures = [TestModels.redCircle, TestModels.blueSquare]
        let expected = try await without.embed(pictures).map(\.rows.values)
        #expect(try await owl.embed(pictures).map(\.rows.values) == expected)
        #expect(owl.imageCache.count == 2 && without.imageCache.count == 0)
        #expect(try await owl.embed(pictures.reversed()).map(\.rows.values) == expected.reversed())
        let input = UserInput(prompt: "Describe the image.", images: pictures + pictures)
        let cold = try await without.whole(input, GenerateParameters(topLogprobs: 2))
        let warm = try await owl.whole(input, GenerateParameters(topLogprobs: 2))
        #expect(cold.answer == warm.answer)
        #expect(cold.info.cachedImageCount == 0 && warm.info.cachedImageCount == 4)
    }

    @Test("A picture that stands twice in a prompt is encoded once") func twice() async throws {
        let owl = try await load()
        let input = UserInput(
            prompt: "What?", images: [TestModels.redCircle, TestModels.blueSquare, TestModels.redCircle])
        #expect(try await owl.whole(input, GenerateParameters(maxNewTokens: 1)).info.cachedImageCount == 1)
        #expect(owl.imageCache.count == 2)
    }

    @Test("What an embedding depends on is told apart") func keys() async throws {
        let owl = try await load()
        let pixels = (0..<60 * 40 * 3).map { UInt8(truncatingIfNeeded: $0 * 7) }
        let wide = Image.rgb8(pixels, width: 60, height: 40), high = Image.rgb8(pixels, width: 40, height: 60)
        var changed = pixels
        changed[100] ^= 1
        _ = try await owl.embed([wide])
        _ = try await owl.embed([high])
        _ = try await owl.embed([.rgb8(changed, width: 60, height: 40)])
        #expect(owl.imageCache.count == 3)
        _ = try await owl.embed([wide], fit: .pad)
        _ = try await owl.embed([wide], honorsOrientation: true)
        #expect(owl.imageCache.count == 5)
        _ = try await owl.embed([wide, high])
        #expect(owl.imageCache.count == 5)
    }

    @Test("A file's content counts, not its name") func files() async throws {
        let owl = try await load()
        let folder = ParityTests.folder.appendingPathComponent("numbered-bin-linear")
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("owl2-\(UUID().uuidString).png")
        defer { try? FileManager.default.removeItem(at: file) }
        let first = try Data(contentsOf: folder.appendingPathComponent("gradient.png"))
        let second = try Data(contentsOf: folder.appendingPathComponent("palette.png"))
        try first.write(to: file)
        let gradient = try await owl.embed([.file(file)])[0].rows.values
        #expect(try await owl.embed([.encoded(first)])[0].rows.values == gradient && owl.imageCache.count == 1)
        try second.write(to: file)
        #expect(try await owl.embed([.file(file)])[0].rows.values != gradient && owl.imageCache.count == 2)
        await expectError(.unsupportedFormat, mentioning: "encoded image") {
            try await owl.embed([.encoded(Data("no picture".utf8))])
        }
        #expect(owl.imageCache.count == 2)
    }

    @Test("Many tasks at once get the same bits") func concurrency() async throws {
        let owl = try await load(40_000), without = try await load(0)
        let pictures = (0..<6).map { number in
            Image.rgb8((0..<30 * 30 * 3).map { UInt8(truncatingIfNeeded: $0 * (number + 3)) }, width: 30, height: 30)
        }
        let expected = try await without.embed(pictures).map(\.rows.values)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<24 {
                group.addTask {
                    let found = try await owl.embed([pictures[number % 6], pictures[(number * 5 + 1) % 6]])
                    #expect(found[0].rows.values == expected[number % 6])
                    #expect(found[1].rows.values == expected[(number * 5 + 1) % 6])
                }
            }
            try await group.waitForAll()
        }
        #expect(owl.imageCache.byteCount <= 40_000 && owl.imageCache.count > 0)
    }

    @Test("In a batch a picture is encoded once") func batch() async throws {
        let owl = try await load()
        let questions = Array(
            repeating: UserInput(prompt: "What shape is red?", images: [TestModels.redCircle]), count: 6)
        let results = try await owl.respond(to: questions, maximumConcurrency: 3)
        let answers = try results.map { try $0.get() }
        #expect(answers.map(\.text) == Array(repeating: "Circle", count: 6))
        #expect(answers.map(\.info.cachedImageCount).reduce(0, +) == 5)
    }

    @Test("A bound that makes no sense") func badBound() async throws {
        await expectError(.invalidInput, mentioning: "image cache", "-1") { try await load(-1) }
    }
}

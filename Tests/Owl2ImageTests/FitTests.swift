import Foundation
import Owl2Core
import Testing

@testable import Owl2Image

/// Squares and normalised values, compared with Pillow's and NumPy's bit for bit.
struct FitTests {
    @Test(arguments: try Fixtures.expected().fits)
    func bitForBit(expected: Expected.Fit) throws {
        let pixels = noise(width: expected.width, height: expected.height, seed: expected.seed)
        let preprocessor = try ImagePreprocessor(imageSize: expected.size)
        let padding = Background(red: 122, green: 116, blue: 104)
        let square = try pixels.withUnsafeBufferPointer { buffer in
            let view = PictureView(
                pixels: try #require(buffer.baseAddress), width: expected.width, height: expected.height)
            return try expected.fit.square(of: view, size: expected.size, padding: padding)
        }
        #expect(square.count == 3 * expected.size * expected.size)
        #expect(fnv(square) == expected.bytes)
        let image = Image.rgb8(pixels, width: expected.width, height: expected.height)
        let values = try preprocessor(image, fit: expected.fit)
        #expect(values.size == expected.size)
        #expect(fnv(littleEndianBytes(values.values)) == expected.floats)
    }

    @Test func everyByteIsNormalisedAsNumPyDoesIt() throws {
        let bytes = (0...255).flatMap { [UInt8](repeating: UInt8($0), count: 3) }
        let values = try ImagePreprocessor(imageSize: 16)(.rgb8(bytes, width: 16, height: 16)).values
        #expect(hex(littleEndianBytes(values)) == (try Fixtures.expected().normalized))
    }

    @Test func meanAndDeviationAreTheConfigurations() throws {
        var configuration = PreprocessorConfiguration()
        configuration.imageMean = [0, 0.5, 1]
        configuration.imageStandardDeviation = [1, 0.5, 0.25]
        let preprocessor = try ImagePreprocessor(configuration: configuration, imageSize: 1)
        #expect(try preprocessor(.rgb8([255, 255, 255], width: 1, height: 1)).values == [1, 1, 0])
        #expect(try preprocessor(.rgb8([0, 0, 0], width: 1, height: 1)).values == [0, -1, -4])
        let padded = try ImagePreprocessor(configuration: configuration, imageSize: 3)(
            .rgb8([9, 9, 9, 9, 9, 9, 9, 9, 9], width: 1, height: 3), fit: .pad)
        #expect(padded.values[0] == 0 && padded.values[18] == 0)  // black in red, white in blue: int(mean * 255)
        #expect(padded.values[9] == (Float(127.0 / 255) - 0.5) / 0.5)
    }

    /// The weights of one output pixel sum to one, within the rounding of each.
    @Test(arguments: [(1, 65000), (65000, 1), (65000, 448), (448, 65000), (7, 5), (448, 448), (1_000_000, 4096)])
    func weightsSumToOne(inputSize: Int, outputSize: Int) {
        let filter = BicubicFilter(inputSize: inputSize, outputSize: outputSize)
        for output in stride(from: 0, to: outputSize, by: max(1, outputSize / 200)) {
            let taps = filter.taps(of: output)
            #expect(taps.start >= 0 && taps.start + taps.weights.count <= inputSize)
            #expect(!taps.weights.isEmpty && taps.weights.count <= filter.largestCount)
            let sum = taps.weights.reduce(0) { $0 + Int($1) }
            #expect(abs(sum - 1 << 22) <= taps.weights.count)
        }
    }

    @Test(arguments: ImageFit.allCases)
    func oneColourStaysThatColour(fit: ImageFit) throws {
        let preprocessor = try ImagePreprocessor(imageSize: 9)
        let color: [UInt8] = [122, 116, 104]  // the colour of the padding, too
        let expected = try preprocessor(.rgb8(color, width: 1, height: 1)).values
        for (width, height) in [(3, 100), (100, 3), (1, 2000), (2000, 1), (30, 31)] {
            let pixels = (0..<width * height).flatMap { _ in color }
            #expect(try preprocessor(.rgb8(pixels, width: width, height: height), fit: fit).values == expected)
        }
    }

    @Test(arguments: ImageFit.allCases)
    func aCancelledTaskStops(fit: ImageFit) async throws {
        let preprocessor = try ImagePreprocessor(imageSize: 28)
        let image = Image.rgb8(noise(width: 40, height: 30, seed: 1), width: 40, height: 30)
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try preprocessor(image, fit: fit)
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}

#if os(Linux)
    /// Pictures that no one could hold after stretching.
    struct LongPictureTests {
        /// The most memory that the process has had so far, in bytes.
        private func peakMemory() throws -> Int {
            let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
            return try #require(Int(line.filter(\.isNumber))) * 1024
        }

        /// The stretched square of the first two has 12.7 GB, and so has the resized picture of the crop in part.
        @Test(.timeLimit(.minutes(1)), arguments: ImageFit.allCases)
        func memoryIsBounded(fit: ImageFit) throws {
            let preprocessor = try ImagePreprocessor(imageSize: 448)
            for (width, height) in [(1, 65_000), (65_000, 1)] {
                let image = Image.rgb8(noise(width: width, height: height, seed: 3), width: width, height: height)
                let before = try peakMemory()
                #expect(try preprocessor(image, fit: fit).values.count == 3 * 448 * 448)
                #expect(try peakMemory() - before < 2_000_000_000)  // other tests run at the same time
            }
        }
    }
#endif

import Foundation
import Owl2Core
import Testing

extension ByteRegion {
    /// A copy of the bytes, during which the region lives.
    fileprivate var array: [UInt8] { withExtendedLifetime(self) { Array(bytes) } }
}

/// Runs of bytes that stay in place.
struct ByteRegionTests {
    func temporaryFile(_ content: [UInt8]) throws -> URL {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("owl2-\(UUID().uuidString)")
        try Data(content).write(to: url)
        return url
    }

    @Test(arguments: [0, 1, 4095, 4096, 4097, 100_000])
    func mappedFilesHaveTheirBytes(count: Int) throws {
        let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 31 + $0 >> 8) }
        let url = try temporaryFile(content)
        let region = try ByteRegion(mappingFile: url.path)
        #expect(region.name == url.path)
        #expect(region.count == count)
        #expect(region.array == content)
        try FileManager.default.removeItem(at: url)
        #expect(region.array == content, "a removed file stays mapped")
    }

    @Test func slicesKeepTheirMemory() throws {
        func slice() -> ByteRegion {
            let whole = ByteRegion(name: "whole", copying: Array(UInt8(0)...255))
            return whole[16..<32][4..<8]
        }
        let part = slice()
        #expect(part.name == "whole")
        #expect(part.array == [20, 21, 22, 23])
        #expect(part[0..<0].count == 0)
        #expect(part[4..<4].count == 0)
    }

    @Test func privateMemoryBeginsAsZerosAndIsAligned() {
        var beginning: [UInt8] = [1]
        let region = ByteRegion(name: "private", byteCount: 100) { bytes in
            beginning = Array(bytes)
            bytes[99] = 7
        }
        #expect(beginning == [UInt8](repeating: 0, count: 100))
        #expect(region.array.last == 7)
        #expect(region.bytes.baseAddress.map { UInt(bitPattern: $0) % 64 } == 0)
        #expect(ByteRegion(name: "empty", byteCount: 0) { _ in }.count == 0)
        #expect(ByteRegion(name: "empty", copying: [UInt8]()).count == 0)
    }

    @Test func errorsOfTheFillAreThrown() {
        #expect(throws: CancellationError.self) {
            try ByteRegion(name: "private", byteCount: 8) { _ in throw CancellationError() }
        }
    }

    @Test func staticBytesAreUsedInPlace() {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 3, alignment: 1)
        defer { bytes.deallocate() }
        bytes.copyBytes(from: [1, 2, 3])
        let region = ByteRegion(name: "static", staticBytes: UnsafeRawBufferPointer(bytes))
        #expect(region.bytes.baseAddress == UnsafeRawPointer(bytes.baseAddress))
        #expect(region[1..<3].array == [2, 3])
    }

    @Test func whatCannotBeMappedIsAnErrorWithThePath() throws {
        func message(_ path: String) -> String? {
            do {
                return "mapped \(try ByteRegion(mappingFile: path).count) bytes"
            } catch let error as Owl2Error {
                return error.code == .unreadableFile && error.subject == path ? error.message : nil
            } catch {
                return nil
            }
        }
        let directory = FileManager.default.temporaryDirectory.path
        #expect(message(directory) == "cannot read \(directory): it is a directory")
        let absent = directory + "/owl2-\(UUID().uuidString)"
        #expect(message(absent) == "cannot read \(absent): No such file or directory")
        #expect(message("/dev/null") == "cannot read /dev/null: it is not a regular file")
        let pipe = directory + "/owl2-\(UUID().uuidString)"
        try #require(mkfifo(pipe, 0o600) == 0)
        defer { unlink(pipe) }
        #expect(message(pipe) == "cannot read \(pipe): it is not a regular file")
    }
}

import Foundation
import Owl2Core

/// Collects tensors and writes them as a safetensors file.
package struct SafetensorsWriter {
    private struct Entry {
        let name: String
        let type: StoredType
        let shape: [Int]
        let content: Data
    }

    private var entries: [Entry] = []

    /// A writer without tensors.
    package init() {}

    /// Adds a tensor of Float32.
    ///
    /// - Parameters:
    ///   - name: The tensor's key, not used before.
    ///   - shape: The size of each dimension, outermost first.
    ///   - float32: The elements, row by row, as many as the shape has.
    package mutating func add(_ name: String, shape: [Int], float32: [Float]) {
        add(name, type: .float32, shape: shape, count: float32.count) {
            float32.withUnsafeBytes { Data($0) }
        }
    }

    /// Adds a tensor of Int64.
    ///
    /// - Parameters:
    ///   - name: The tensor's key, not used before.
    ///   - shape: The size of each dimension, outermost first.
    ///   - int64: The elements, row by row, as many as the shape has.
    package mutating func add(_ name: String, shape: [Int], int64: [Int64]) {
        add(name, type: .int64, shape: shape, count: int64.count) {
            int64.withUnsafeBytes { Data($0) }
        }
    }

    private mutating func add(_ name: String, type: StoredType, shape: [Int], count: Int, content: () -> Data) {
        precondition(elementCount(ofShape: shape) == count, "\(name): shape \(shape) for \(count) elements")
        precondition(!entries.contains { $0.name == name } && name != "__metadata__", "\(name) is there twice")
        entries.append(Entry(name: name, type: type, shape: shape, content: content()))
    }

    /// Writes all tensors to a file, which appears whole or not at all.
    ///
    /// - Parameter url: The file; one that is there is replaced.
    /// - Throws: `Owl2Error` (`unwritableFile`), also for what is there and is no regular file, such as a device.
    package func write(to url: URL) throws {
        // wide elements first, so that all are aligned
        let ordered = entries.sorted { ($1.type.byteCount, $0.name) < ($0.type.byteCount, $1.name) }
        let header = header(of: ordered)
        let file = try PartialFile(replacing: url)
        try file.reserve(ordered.reduce(header.count) { $0 + $1.content.count })
        try file.write(header)
        for entry in ordered { try entry.content.withUnsafeBytes { try file.write($0) } }
        try file.publish()
    }

    /// What stands before the tensors: the header's size and the header.
    private func header(of ordered: [Entry]) -> [UInt8] {
        var offset = 0
        let fields = ordered.map { entry in
            defer { offset += entry.content.count }
            let range = "[\(offset),\(offset + entry.content.count)]"
            let shape = "[\(entry.shape.map(String.init).joined(separator: ","))]"
            return
                "\(quoted(entry.name)):{\"dtype\":\"\(entry.type.name)\",\"shape\":\(shape),\"data_offsets\":\(range)}"
        }
        var text = Array("{\(fields.joined(separator: ","))}".utf8)
        text.append(contentsOf: repeatElement(0x20, count: -text.count & 7))
        return withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init) + text
    }

    private func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" {
                result += "\\\(scalar)"
            } else if scalar.value < 0x20 {
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

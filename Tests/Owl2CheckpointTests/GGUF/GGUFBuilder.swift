import Foundation
import Owl2Checkpoint
import Owl2Core
import Testing

/// Assembles GGUF files, also such as no program would write.
struct GGUFBuilder {
    struct Tensor {
        var name = "t"
        /// Innermost first, as in the file.
        var dimensions: [UInt64] = [4]
        var type: UInt32 = 0
        /// Where the elements are said to be; nil for the truth.
        var offset: UInt64?
        var data = [UInt8](repeating: 0, count: 16)
        var claimedNameLength: UInt64?
        var claimedRank: UInt32?
    }

    var magic = Array("GGUF".utf8)
    var version: UInt32 = 3
    var claimedTensorCount: UInt64?
    var claimedKeyCount: UInt64?
    /// Keys with a type and an encoded value.
    var keys: [(name: String, type: UInt32, value: [UInt8])] = [
        ("general.architecture", 8, GGUFBuilder.string("mplug_owl2"))
    ]
    var tensors = [Tensor()]
    var alignment = 32

    static func string(_ text: String, claimedLength: UInt64? = nil) -> [UInt8] {
        littleEndian(claimedLength ?? UInt64(text.utf8.count)) + Array(text.utf8)
    }

    /// The value of an array.
    static func array(_ type: UInt32, count: UInt64, _ elements: [UInt8]) -> [UInt8] {
        littleEndian(type) + littleEndian(count) + elements
    }

    mutating func setAlignment(_ value: UInt32) {
        keys.append(("general.alignment", 4, littleEndian(value)))
    }

    func build() -> [UInt8] {
        var file = magic + littleEndian(version)
        file += littleEndian(claimedTensorCount ?? UInt64(tensors.count))
        file += littleEndian(claimedKeyCount ?? UInt64(keys.count))
        for key in keys { file += Self.string(key.name) + littleEndian(key.type) + key.value }
        var data: [UInt8] = []
        for tensor in tensors {
            file += Self.string(tensor.name, claimedLength: tensor.claimedNameLength)
            file += littleEndian(tensor.claimedRank ?? UInt32(tensor.dimensions.count))
            file += tensor.dimensions.flatMap { littleEndian($0) }
            file += littleEndian(tensor.type) + littleEndian(tensor.offset ?? UInt64(data.count))
            data += tensor.data
            data += [UInt8](repeating: 0, count: -data.count & (alignment - 1))
        }
        return file + [UInt8](repeating: 0, count: -file.count & (alignment - 1)) + data
    }
}

/// Reads a GGUF file of bytes.
func openGGUF(_ bytes: [UInt8]) throws -> GGUFFile {
    try GGUFFile(ByteRegion(name: "memory/model.gguf", copying: bytes), fileName: "model.gguf")
}

/// Reads a GGUF file that is made of sound parts, changed.
func openGGUF(_ change: (inout GGUFBuilder) -> Void) throws -> GGUFFile {
    var builder = GGUFBuilder()
    change(&builder)
    return try openGGUF(builder.build())
}

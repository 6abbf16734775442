import Owl2Core

/// Reads safetensors: a header of JSON behind its length, then the elements of all tensors without gaps.
///
/// Format: https://github.com/huggingface/safetensors#format
enum SafetensorsFile {
    /// The longest header, as the format states it.
    static let maximumHeaderByteCount = 100_000_000

    /// Reads the names, types and places of all tensors.
    static func read(_ region: ByteRegion, fileName: String) throws -> WeightsFile {
        try checkIsNoPointer(region)
        var reader = try ByteReader(region)
        let length = try reader.number(UInt64.self, "the length of the safetensors header")
        guard length <= maximumHeaderByteCount else {
            throw Owl2Error(
                .malformedFile,
                "\(region.name): a safetensors header of \(length) bytes, more than the \(maximumHeaderByteCount) allowed",
                subject: region.name)
        }
        let header = try reader.take(Int(length), "the safetensors header")
        let data = try reader.take(reader.remainingCount, "the data")
        let entries = try SafetensorsHeader.entries(of: header)
        try checkOrder(of: entries, dataCount: data.count, file: region.name)
        return WeightsFile(tensors: try entries.map { try tensor($0, data: data, fileName: fileName) })
    }

    /// The tensors must follow one another without gap or overlap, and fill the data.
    private static func checkOrder(of entries: [SafetensorsEntry], dataCount: Int, file: String) throws {
        var expected = 0
        for entry in entries.sorted(by: { ($0.start, $0.end) < ($1.start, $1.end) }) {
            guard entry.start == expected, entry.end >= entry.start, entry.end <= dataCount else {
                throw Owl2Error(
                    .malformedFile,
                    "\(file): tensor '\(entry.name)' is said to be at \(entry.start) ..< \(entry.end) of \(dataCount)"
                        + " bytes; expected it to begin at \(expected), without gap or overlap", subject: entry.name)
            }
            expected = entry.end
        }
        guard expected == dataCount else {
            throw Owl2Error(
                .malformedFile, "\(file): \(dataCount) bytes of data, its tensors cover \(expected)", subject: file)
        }
    }

    private static func tensor(
        _ entry: SafetensorsEntry, data: ByteRegion, fileName: String
    ) throws -> StoredTensor {
        guard let type = StoredType.named[entry.typeName] else {
            throw Owl2Error(
                .unsupportedFormat, "\(data.name): tensor '\(entry.name)' has the unknown type '\(entry.typeName)'",
                subject: entry.name)
        }
        let count = elementCount(ofShape: entry.shape)
        let byteCount = count?.multipliedReportingOverflow(by: type.byteCount)
        guard let count, let byteCount, !byteCount.overflow, byteCount.partialValue == entry.end - entry.start else {
            throw Owl2Error(
                .malformedFile,
                "\(data.name): tensor '\(entry.name)' has \(entry.end - entry.start) bytes, its shape \(entry.shape) of"
                    + " type \(type.name) needs another number", subject: entry.name)
        }
        return StoredTensor(
            name: entry.name, shape: entry.shape, elementCount: count, type: type, fileName: fileName,
            storage: data[entry.start..<entry.end])
    }
}

import Foundation
import Owl2Checkpoint
import Owl2Core
import Owl2Tensor

/// Writes a model as one GGUF file, with its weights in another type.
///
/// Weights pass through a few megabytes of memory on their way from file to file, whatever the size of the model. The file
/// appears when it is whole; an error, a cancellation or the end of the program before that leaves nothing at its place.
///
/// ```swift
/// let quantizer = ModelQuantizer(type: .q4_0)
/// try await quantizer.quantize(ModelFiles(at: directory), to: file) { print($0.fractionCompleted) }
/// let owl = try await Owl2Pipeline.load(from: file)
/// ```
public struct ModelQuantizer: Sendable {
    /// What was written.
    public struct Report: Sendable {
        /// Bytes of all weights.
        public let byteCount: Int
        /// How many weights are stored in which type.
        public let elementTypes: [String: Int]
        /// Weights whose rows the wanted type cannot hold, with what became of them.
        public let fallbacks: [String: String]
        /// What was odd about the model's files; weights that the model has no use for are not written.
        public let diagnostics: [String]
    }

    /// The type of most of the weights.
    public let type: WeightType
    /// Threads to compute with, or nil for one per core.
    public let threadCount: Int?

    /// A quantiser.
    ///
    /// - Parameters:
    ///   - type: The type of most of the weights. Small and sensitive ones stay more exact.
    ///   - threadCount: Threads to compute with, or nil for one per core.
    public init(type: WeightType, threadCount: Int? = nil) {
        self.type = type
        self.threadCount = threadCount
    }

    /// Writes a model.
    ///
    /// - Parameters:
    ///   - files: The model's files, or another GGUF file of it.
    ///   - url: The file to be made; one that is there is replaced at the end.
    ///   - progressHandler: Sees how much was written.
    /// - Returns: What was written.
    /// - Throws: `Owl2Error` for a model that is not complete, for a weight that is not finite or too large for its type
    ///   (`nonFiniteValue`, with its name and place), and for a file that cannot be written (`unwritableFile`);
    ///   `CancellationError`.
    @discardableResult
    public func quantize(
        _ files: ModelFiles, to url: URL, progressHandler: Owl2Pipeline.ProgressHandler? = nil
    ) async throws -> Report {
        try await HeavyWork.run { try write(files, to: url, progressHandler) }
    }

    private func write(
        _ files: ModelFiles, to url: URL, _ progressHandler: Owl2Pipeline.ProgressHandler?
    ) throws -> Report {
        let compute = try Compute(threadCount: threadCount)
        let model = try QuantizationPlan(files, type: type)
        let writer = try GGUFWriter(to: url, metadata: model.metadata, tensors: model.entries.map(\.target))
        let total = model.entries.reduce(0) { $0 + $1.target.byteCount }
        var done = 0
        for entry in model.entries {
            try convert(entry, with: compute) { bytes in
                try Task.checkCancellation()
                let fraction = Double(done) / Double(total)
                progressHandler?(PipelineProgress(stage: .quantizing, fractionCompleted: fraction))
                try writer.write(bytes)
                done += bytes.count
            }
        }
        try writer.finish()
        progressHandler?(PipelineProgress(stage: .quantizing, fractionCompleted: 1))
        return Report(
            byteCount: total,
            elementTypes: model.entries.reduce(into: [:]) { $0[$1.target.type.storedName, default: 0] += 1 },
            fallbacks: model.fallbacks, diagnostics: model.diagnostics)
    }

    /// Elements that are converted at a time.
    private static let elementsPerPiece = 1 << 22

    /// Converts a weight piece by piece.
    private func convert(
        _ entry: QuantizationPlan.Entry, with compute: Compute, _ write: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let source = entry.source.contents(), width = entry.source.shape.last ?? 1
        let conversion = RowConversion(columnCount: width, from: entry.sourceType, to: entry.target.type)
        let sourceBytes = conversion.source.byteCount(ofRow: width)
        let targetBytes = conversion.target.byteCount(ofRow: width)
        let rowCount = entry.source.elementCount / width
        let rowsPerPiece = min(rowCount, max(1, Self.elementsPerPiece / width))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: rowsPerPiece * targetBytes, alignment: 64)
        defer { buffer.deallocate() }
        for first in stride(from: 0, to: rowCount, by: rowsPerPiece) {
            let last = min(rowCount, first + rowsPerPiece)
            let rows = source[first * sourceBytes..<last * sourceBytes]
            let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<((last - first) * targetBytes)])
            if let fault = compute.convert(rows, conversion, into: piece) {
                throw Self.unstorable(fault, in: entry, row: first + fault.row)
            }
            rows.releasePages()
            try write(UnsafeRawBufferPointer(piece))
        }
    }

    private static func unstorable(_ fault: UnstorableElement, in entry: QuantizationPlan.Entry, row: Int) -> Owl2Error
    {
        let rank = entry.source.shape.count
        let place = rank == 1 ? "element \(fault.column)" : "row \(row), column \(fault.column)"
        let reason =
            fault.value.isFinite
            ? "is \(fault.value), which is too large for \(entry.target.type.storedName)" : "is \(fault.value)"
        return Owl2Error(
            .nonFiniteValue, "\(entry.source.name) (\(entry.source.fileName)): \(place) \(reason)",
            subject: entry.source.name)
    }
}

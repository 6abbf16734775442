import COwl2BundledModel
import Owl2Kit

/// The small model that is part of the program: it knows coloured shapes, and shows every part of mPLUG-Owl2 at work
/// without a download. Only programs that import `Owl2Bundled` carry it.
public enum BundledModel {
    /// The model's files, in the layout of a published checkpoint.
    public static let files = ModelFiles(
        name: "bundled model",
        embedded: Dictionary(
            uniqueKeysWithValues: (0..<owl2_bundled_file_count()).map { index in
                let file = owl2_bundled_file_at(index)
                let name = String(cString: file.name)
                let bytes = UnsafeRawBufferPointer(start: file.bytes, count: file.size)
                return (name, ByteRegion(name: "bundled \(name)", staticBytes: bytes))
            }))
}

extension Owl2Pipeline {
    /// Loads the small model that is part of the program.
    ///
    /// - Parameters:
    ///   - options: How to load.
    ///   - progressHandler: Sees how far loading is.
    /// - Returns: The pipeline.
    public static func bundled(
        options: LoadOptions = LoadOptions(), progressHandler: ProgressHandler? = nil
    ) async throws -> Owl2Pipeline {
        try await load(from: BundledModel.files, options: options, progressHandler: progressHandler)
    }
}

import Owl2Core
import Owl2Decoder
import Owl2Image
import Owl2Tensor
import Owl2Tokenizer

/// A picture as the decoder sees it.
public struct ImageEmbedding: Sendable {
    /// `[queries + 1, decoder width]`; the last row is the learned end row.
    public let rows: Matrix
}

// The stages of an answer, for those who want to run them one by one.
extension Owl2Pipeline {
    /// Tokenises an input and checks that it fits the context and has a picture for every marker.
    ///
    /// - Parameter input: What is asked.
    /// - Returns: Tokens and pictures.
    /// - Throws: `Owl2Error`: `imageCountMismatch`, or `contextExceeded` with the rows that the prompt needs and the limit.
    public func prepare(_ input: UserInput) throws -> PreparedPrompt {
        let (segments, images) = input.prompt(tokenizer)
        return try prepare(
            tokenizer.encode(segments, addBeginningOfSequence: true), images: images, fit: input.fit,
            honorsOrientation: input.honorsOrientation, behind: 0)
    }

    /// Checks tokens and pictures that come behind `earlier` rows of the same sequence.
    func prepare(
        _ tokens: [Int], images: [Image], fit: ImageFit, honorsOrientation: Bool, behind earlier: Int
    ) throws -> PreparedPrompt {
        let markers = tokens.count { $0 == Tokenizer.imageMarkerID }
        guard markers == images.count else {
            throw Owl2Error(
                .imageCountMismatch, "the prompt has \(markers) image markers, but \(images.count) images were given")
        }
        let imageRows = markers * model.rowsPerImage
        let rows = tokens.count - markers + imageRows
        guard earlier + rows < contextLength else {
            throw Owl2Error(
                .contextExceeded,
                "the prompt needs \(earlier + rows) rows (\(imageRows) of them for images) and one for the answer, "
                    + "the context has \(contextLength)")
        }
        return PreparedPrompt(
            tokens: tokens, images: images, rowCount: rows, imageRowCount: imageRows, fit: fit,
            honorsOrientation: honorsOrientation)
    }

    /// The rows of the decoder that an input takes, those of its pictures included.
    ///
    /// - Parameter input: What is asked; its pictures are not read.
    /// - Throws: `Owl2Error`, as ``prepare(_:)`` does.
    public func tokenCount(of input: UserInput) throws -> Int {
        try prepare(input).rowCount
    }

    /// Encodes pictures with the visual encoder and the abstractor, but for those whose embeddings were kept.
    ///
    /// - Parameters:
    ///   - images: Any number of pictures.
    ///   - fit: How they become squares.
    ///   - honorsOrientation: Whether they are turned as their EXIF data says.
    ///   - progressHandler: Sees how many are done.
    /// - Returns: One embedding per picture.
    /// - Throws: `Owl2Error` for a picture that cannot be read; `CancellationError` before the next layer.
    public func encodeImages(
        _ images: [Image], fit: ImageFit = .stretch, honorsOrientation: Bool = false,
        progressHandler: ProgressHandler? = nil
    ) throws -> [ImageEmbedding] {
        let requests = try images.map { try request($0, fit: fit, honorsOrientation: honorsOrientation) }
        return try encode(requests, progressHandler).rows.map(ImageEmbedding.init)
    }

    /// The embeddings of pictures: ``encodeImages(_:fit:honorsOrientation:progressHandler:)`` off the caller's thread.
    public func embed(
        _ images: [Image], fit: ImageFit = .stretch, honorsOrientation: Bool = false
    ) async throws -> [ImageEmbedding] {
        try await HeavyWork.run {
            try self.encodeImages(images, fit: fit, honorsOrientation: honorsOrientation)
        }
    }

    /// An empty cache for one sequence, of the type that the model was loaded with.
    public func makeCache() -> KVCache {
        model.decoder.makeCache()
    }

    /// Runs a prompt through the decoder.
    ///
    /// - Parameters:
    ///   - prompt: A prepared prompt.
    ///   - images: The embeddings of its pictures, in order.
    ///   - cache: Gets the prompt's keys and values behind those that it has.
    ///   - progressHandler: Sees how far the pass is.
    /// - Returns: Logits of the last row, `[1, vocabulary]`.
    /// - Throws: `Owl2Error` (`imageCountMismatch`); `CancellationError` before the next layer. The cache is then what it
    ///   was.
    public func prefill(
        _ prompt: PreparedPrompt, images: [ImageEmbedding], into cache: KVCache, progressHandler: ProgressHandler? = nil
    ) throws -> Matrix {
        guard images.count == prompt.images.count else {
            throw Owl2Error(
                .imageCountMismatch, "the prompt has \(prompt.images.count) images, \(images.count) were encoded")
        }
        return try prefill(prompt, images: images.map(\.rows), into: cache, progressHandler)
    }

    /// The logits of every row of an input in one pass.
    ///
    /// - Parameter input: What is asked.
    /// - Returns: `[rows, vocabulary]`.
    public func logits(of input: UserInput) async throws -> Matrix {
        try await HeavyWork.run {
            let prompt = try self.prepare(input)
            let rows = try self.splice(prompt, self.encode(prompt, nil).rows)
            return try self.model.prefill(rows, into: self.makeCache(), wanting: .all)
        }
    }

    // MARK: The same, for the rest of the library

    func splice(_ prompt: PreparedPrompt, _ images: [Matrix]) -> PromptRows {
        model.splice(prompt.tokens, imageMarkerID: Tokenizer.imageMarkerID, images: images)
    }

    func prefill(
        _ prompt: PreparedPrompt, images: [Matrix], into cache: KVCache, _ progressHandler: ProgressHandler?
    ) throws -> Matrix {
        try model.prefill(
            splice(prompt, images), into: cache,
            progress: { report(progressHandler, .prefill, $0) })
    }
}

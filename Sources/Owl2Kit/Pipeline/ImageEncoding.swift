import Owl2Core
import Owl2Image
import Owl2Tensor

/// A picture that is to be encoded, as it was asked for.
struct PictureRequest: Sendable {
    let source: ImageSource
    let fit: ImageFit
    let honorsOrientation: Bool
    /// What the picture is known by, where embeddings are kept.
    let key: ImageCache.Key?
}

/// The embeddings of a prompt's pictures.
struct EncodedImages: Sendable {
    /// `[queries + 1, decoder width]` each, in the order of the pictures.
    var rows: [Matrix] = []
    /// How many of them had been encoded before, for another request or another place of the prompt.
    var cachedCount = 0
}

extension Owl2Pipeline {
    /// Pictures that are encoded together: few enough that a layer's rows stay in a third-level cache.
    static let imagesPerPass = 2

    /// Opens a picture.
    ///
    /// - Parameter isCached: Whether its embedding may come from an earlier request and is kept for a later one.
    func request(
        _ image: Image, fit: ImageFit, honorsOrientation: Bool, isCached: Bool = true
    ) throws -> PictureRequest {
        try Task.checkCancellation()
        let source = try ImageSource(image)
        let key =
            isCached && imageCache.isOn
            ? ImageCache.Key(digest: source.digest(), fit: fit, honorsOrientation: honorsOrientation) : nil
        return PictureRequest(source: source, fit: fit, honorsOrientation: honorsOrientation, key: key)
    }

    /// The normalised pixels of a picture.
    func pixelValues(_ request: PictureRequest) throws -> [Float] {
        try Task.checkCancellation()
        return try preprocessor(request.source, fit: request.fit, honorsOrientation: request.honorsOrientation).values
    }

    /// The embedding of a picture that was met before.
    func cachedRows(_ request: PictureRequest) -> Matrix? {
        request.key.flatMap { imageCache.rows($0) }
    }

    /// Sees the pixels and the visual encoder's rows of the pictures of a pass.
    typealias PassObserver = (_ pixels: [[Float]], _ features: Matrix) -> Void

    /// Encodes a few pictures in one pass, and keeps their embeddings.
    func encodePass(
        _ requests: [PictureRequest], pixels: [[Float]], observer: PassObserver? = nil
    ) throws -> [Matrix] {
        let features = try model.encoder(pixels)
        observer?(pixels, features)
        let all = try model.abstractor(features), perImage = model.rowsPerImage
        return requests.indices.map { index in
            let rows = all.gathering(Array(index * perImage..<(index + 1) * perImage))
            if let key = requests[index].key { imageCache.insert(rows, for: key) }
            return rows
        }
    }

    /// Encodes the pictures that were not met before, each once. What another task is encoding is waited for.
    func encode(
        _ requests: [PictureRequest], _ progressHandler: ProgressHandler?, observer: PassObserver? = nil
    ) throws -> EncodedImages {
        var rows = requests.map { cachedRows($0) }, encodedCount = 0
        while true {
            let missing = requests.indices.filter { rows[$0] == nil }
            if missing.isEmpty { break }
            let wanted = Set(missing.compactMap { requests[$0].key }), claims = imageCache.claim(wanted)
            defer { imageCache.release(claims) }
            let mine = firstOccurrences(missing, requests).filter { requests[$0].key.map(claims.contains) ?? true }
            if mine.isEmpty { try imageCache.awaitRelease(of: wanted) }
            for (index, encoded) in try encode(mine, of: requests, progressHandler, observer) { rows[index] = encoded }
            encodedCount += mine.count
            for index in missing where rows[index] == nil { rows[index] = cachedRows(requests[index]) }
        }
        if !requests.isEmpty { report(progressHandler, .encodingImages, 1) }
        return EncodedImages(rows: rows.compactMap { $0 }, cachedCount: requests.count - encodedCount)
    }

    /// Encodes some of the pictures, a few at a time.
    private func encode(
        _ indices: [Int], of requests: [PictureRequest], _ progressHandler: ProgressHandler?, _ observer: PassObserver?
    ) throws -> [(index: Int, rows: Matrix)] {
        var encoded: [(index: Int, rows: Matrix)] = []
        for start in stride(from: 0, to: indices.count, by: Self.imagesPerPass) {
            report(progressHandler, .encodingImages, Double(start) / Double(indices.count))
            let pass = indices[start..<min(start + Self.imagesPerPass, indices.count)]
            let pixels = try pass.map { try pixelValues(requests[$0]) }
            let rows = try encodePass(pass.map { requests[$0] }, pixels: pixels, observer: observer)
            encoded += zip(pass, rows).map { ($0, $1) }
        }
        return encoded
    }

    /// The pictures among some that are not the same as an earlier one.
    private func firstOccurrences(_ indices: [Int], _ requests: [PictureRequest]) -> [Int] {
        var seen: Set<ImageCache.Key> = []
        return indices.filter { index in requests[index].key.map { seen.insert($0).inserted } ?? true }
    }

    func encode(_ prompt: PreparedPrompt, _ progressHandler: ProgressHandler?) throws -> EncodedImages {
        try encode(requests(prompt), progressHandler)
    }

    /// Opens the pictures of a prompt.
    func requests(_ prompt: PreparedPrompt, areCached: Bool = true) throws -> [PictureRequest] {
        try prompt.images.map {
            try request($0, fit: prompt.fit, honorsOrientation: prompt.honorsOrientation, isCached: areCached)
        }
    }

    func report(_ handler: ProgressHandler?, _ stage: PipelineProgress.Stage, _ fraction: Double) {
        handler?(PipelineProgress(stage: stage, fractionCompleted: fraction))
    }
}

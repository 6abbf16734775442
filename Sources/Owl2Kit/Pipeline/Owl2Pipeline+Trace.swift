import Owl2Core
import Owl2Decoder
import Owl2Tensor

/// A tensor that was seen on the way of a prompt through the model.
public struct TracedTensor: Sendable {
    /// The elements, row by row.
    public enum Values: Sendable {
        case float32([Float])
        case int64([Int64])
    }

    /// Its name, such as `hidden.0`.
    public let name: String
    /// Its dimensions.
    public let shape: [Int]
    /// Its elements.
    public let values: Values
}

extension Owl2Pipeline {
    /// Runs a prompt the way that answers take, and keeps what is seen on it, for comparing with another implementation.
    ///
    /// The tensors are `input_ids` `[tokens]` (-200 for a picture), and where there are pictures `pixel_values`
    /// `[pictures, 3, S, S]`, `vision` `[pictures, 1 + patches, width]` and `image_embeds` `[pictures, queries + 1, width]`;
    /// then `hidden.0` to `hidden.L` `[rows, width]` (each layer's input, and the normed output) and `logits`
    /// `[rows, vocabulary]`.
    ///
    /// - Parameter input: What is asked.
    /// - Returns: The tensors.
    public func trace(_ input: UserInput) async throws -> [TracedTensor] {
        try await HeavyWork.run { try self.observe(input) }
    }

    private func observe(_ input: UserInput) throws -> [TracedTensor] {
        let prompt = try prepare(input)
        var tensors = [
            TracedTensor(
                name: "input_ids", shape: [prompt.tokens.count], values: .int64(prompt.tokens.map(Int64.init)))
        ]
        func keep(_ name: String, _ leadingShape: [Int], _ rows: [Matrix]) {
            let shape = leadingShape + [rows.first?.columnCount ?? 0]
            tensors.append(TracedTensor(name: name, shape: shape, values: .float32(rows.flatMap(\.values))))
        }
        var pixels: [[Float]] = [], features: [Matrix] = []
        let images = try encode(requests(prompt, areCached: false), nil) {
            pixels += $0
            features.append($1)
        }.rows
        if !pixels.isEmpty {
            let size = configuration.vision.imageSize
            tensors.append(
                TracedTensor(
                    name: "pixel_values", shape: [pixels.count, 3, size, size], values: .float32(pixels.flatMap { $0 }))
            )
            keep("vision", [pixels.count, configuration.vision.rowCount], features)
            keep("image_embeds", [pixels.count, model.rowsPerImage], images)
        }
        var hidden = Array(repeating: [Matrix](), count: configuration.decoder.hiddenLayerCount + 1)
        let logits = try model.prefill(
            splice(prompt, images), into: makeCache(), wanting: .all,
            observer: { index, rows in hidden[index].append(rows.gathering(Array(0..<rows.rowCount))) })
        for (index, rows) in hidden.enumerated() { keep("hidden.\(index)", [prompt.rowCount], rows) }
        keep("logits", [prompt.rowCount], [logits])
        return tensors
    }
}

import Owl2Decoder
import Owl2Tensor

/// What one sequence adds to a pass of the decoder.
struct SequencePart {
    /// The sequence's keys and values, which the rows go on from.
    let cache: KVCache
    /// The rows.
    let rows: PromptRows
    /// Of how many of the last rows the logits are wanted.
    let logitCount: Int
}

extension Owl2Model {
    /// Runs rows of any number of sequences through the decoder, which reads the weights once for all of them. Every
    /// sequence gets what it would get alone.
    ///
    /// If it throws, the caches hold what they held.
    ///
    /// - Returns: The wanted logits, part by part: `[sum of logit counts, vocabulary]`.
    func forward(
        _ parts: [SequencePart], observer: ModalityAdaptiveDecoder.HiddenObserver? = nil
    ) throws -> Matrix {
        var rows: [DecoderRow] = [], logitRows: [Int] = []
        for (sequence, part) in parts.enumerated() {
            let before = part.cache.count
            for (offset, modality) in part.rows.modalities.enumerated() {
                rows.append(DecoderRow(sequence: sequence, position: before + offset, modality: modality))
            }
            logitRows += rows.count - part.logitCount..<rows.count
        }
        let embeddings =
            parts.count == 1
            ? parts[0].rows.embeddings
            : Matrix.stacking(parts.map(\.rows.embeddings), columns: configuration.decoder.hiddenSize)
        return try decoder.forward(
            embeddings, rows: rows, caches: parts.map(\.cache), logitRows: logitRows, observer: observer)
    }
}

/// Input rows of the decoder with their modalities.
struct PromptRows: Sendable {
    /// `[rows, width]`.
    let embeddings: Matrix
    let modalities: [Modality]

    /// Some of the rows.
    subscript(range: Range<Int>) -> PromptRows {
        range == modalities.indices
            ? self : PromptRows(embeddings: embeddings.gathering(Array(range)), modalities: Array(modalities[range]))
    }
}

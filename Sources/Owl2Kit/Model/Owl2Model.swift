import Owl2Abstractor
import Owl2Checkpoint
import Owl2Core
import Owl2Decoder
import Owl2Tensor
import Owl2Vision

/// The three modules with their weights, and what passes between them.
struct Owl2Model: Sendable {
    let configuration: ModelConfiguration
    let encoder: VisionEncoder
    let abstractor: VisualAbstractor
    let decoder: ModalityAdaptiveDecoder

    /// Takes all weights from a loader, which afterwards knows what was missing.
    init(
        _ loader: WeightLoader, configuration: ModelConfiguration, keyValueType: KeyValueType? = nil, compute: Compute
    ) {
        let model = loader.scope["model"]
        encoder = VisionEncoder(model["vision_model"], configuration: configuration.vision, compute: compute)
        abstractor = VisualAbstractor(
            model["visual_abstractor"], configuration: configuration.abstractor,
            outputWidth: configuration.decoder.hiddenSize, compute: compute)
        decoder = ModalityAdaptiveDecoder(
            loader.scope, configuration: configuration.decoder, keyValueType: keyValueType, compute: compute)
        self.configuration = configuration
    }

    /// The configuration with the vocabulary's size as the tensors have it: fine-tunes that added tokens do not always
    /// write it down.
    static func adjusting(_ configuration: ModelConfiguration, to loader: WeightLoader) -> ModelConfiguration {
        var adjusted = configuration
        if let shape = loader.scope.shape(of: "model.embed_tokens.weight"), shape.count == 2, shape[0] > 0 {
            adjusted.decoder.vocabularySize = shape[0]
        }
        return adjusted
    }

    /// Rows that a picture becomes.
    var rowsPerImage: Int { configuration.abstractor.outputRowCount }

    /// The decoder's input rows of a prompt: tokens' embeddings, and each image marker replaced by its picture's rows.
    ///
    /// - Parameters:
    ///   - tokens: Ids, `imageMarkerID` where a picture stands.
    ///   - images: The pictures' rows, in order, as many as there are markers.
    func splice(_ tokens: [Int], imageMarkerID: Int, images: [Matrix]) -> PromptRows {
        var parts: [Matrix] = [], modalities: [Modality] = [], text: [Int] = []
        var remaining = images[...]
        func endText() {
            guard !text.isEmpty else { return }
            parts.append(decoder.embed(text))
            modalities += Array(repeating: .text, count: text.count)
            text = []
        }
        for token in tokens {
            if token != imageMarkerID {
                text.append(token)
            } else if let image = remaining.popFirst() {
                endText()
                parts.append(image)
                modalities += Array(repeating: .visual, count: image.rowCount)
            }
        }
        endText()
        return PromptRows(
            embeddings: .stacking(parts, columns: configuration.decoder.hiddenSize), modalities: modalities)
    }

    /// Which rows of a prefill need logits.
    enum WantedLogits {
        case last
        case all
    }

    /// Rows of one pass of a prefill, which bounds its memory.
    static let rowsPerPass = 256

    /// Runs rows through the decoder behind what a cache holds, in passes of a bounded size.
    ///
    /// If it throws, the cache holds what it held.
    ///
    /// - Returns: Logits `[1 or rows, vocabulary]`.
    func prefill(
        _ rows: PromptRows, into cache: KVCache, wanting wanted: WantedLogits = .last,
        observer: ModalityAdaptiveDecoder.HiddenObserver? = nil, progress: (Double) -> Void = { _ in }
    ) throws -> Matrix {
        let before = cache.count, total = rows.modalities.count
        let perPass = decoder.needsOnePass(rowCount: before + total) ? total : Self.rowsPerPass
        var logits: [Matrix] = []
        do {
            for start in stride(from: 0, to: total, by: perPass) {
                progress(Double(start) / Double(total))
                let range = start..<min(start + perPass, total)
                let isLast = range.upperBound == total
                let logitCount = wanted == .all ? range.count : isLast ? 1 : 0
                let result = try forward(
                    [SequencePart(cache: cache, rows: rows[range], logitCount: logitCount)], observer: observer)
                logits.append(result)
            }
        } catch {
            cache.truncate(to: before)
            throw error
        }
        progress(1)
        return logits.count == 1 ? logits[0] : .stacking(logits, columns: configuration.decoder.vocabularySize)
    }
}
